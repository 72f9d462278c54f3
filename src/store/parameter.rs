//! What a statement is given, each value with its type in SQL.
//!
//! A statement that is prepared tells the types itself. One that is sent without being prepared must be told them, so they
//! follow from the Rust types here; where both are known, they are compared (in a debug build).

use jiff::Timestamp;
use jiff::civil::Date;
use postgres_types::{Json, ToSql, Type};
use uuid::Uuid;

/// A value that a statement is given.
pub trait Parameter: ToSql + Sync {
    /// Its type in SQL.
    fn kind(&self) -> Type;

    /// Itself, as the driver takes it.
    fn value(&self) -> &(dyn ToSql + Sync);
}

/// The values that a statement is given, in order.
pub(crate) type Given<'a> = &'a [&'a (dyn Parameter + Sync)];

impl<T: Kind + ToSql + Sync> Parameter for T {
    fn kind(&self) -> Type {
        T::kind()
    }

    fn value(&self) -> &(dyn ToSql + Sync) {
        self
    }
}

/// A Rust type that stands for one type in SQL.
pub trait Kind {
    /// That type.
    fn kind() -> Type;

    /// The type of a list of it.
    fn list() -> Type;
}

macro_rules! kinds {
    ($($rust:ty => $one:ident, $list:ident;)*) => {
        $(impl Kind for $rust {
            fn kind() -> Type {
                Type::$one
            }

            fn list() -> Type {
                Type::$list
            }
        })*
    };
}

kinds! {
    bool => BOOL, BOOL_ARRAY;
    i32 => INT4, INT4_ARRAY;
    i64 => INT8, INT8_ARRAY;
    f64 => FLOAT8, FLOAT8_ARRAY;
    str => TEXT, TEXT_ARRAY;
    String => TEXT, TEXT_ARRAY;
    Uuid => UUID, UUID_ARRAY;
    Date => DATE, DATE_ARRAY;
    Timestamp => TIMESTAMPTZ, TIMESTAMPTZ_ARRAY;
    // No byte goes alone: a list of them is one value.
    u8 => CHAR, BYTEA;
}

impl<T> Kind for Json<T> {
    fn kind() -> Type {
        Type::JSONB
    }

    fn list() -> Type {
        Type::JSONB_ARRAY
    }
}

impl<T: Kind> Kind for Option<T> {
    fn kind() -> Type {
        T::kind()
    }

    fn list() -> Type {
        T::list()
    }
}

impl<T: Kind + ?Sized> Kind for &T {
    fn kind() -> Type {
        T::kind()
    }

    fn list() -> Type {
        T::list()
    }
}

impl<T: Kind> Kind for [T] {
    fn kind() -> Type {
        T::list()
    }

    fn list() -> Type {
        T::list()
    }
}

impl<T: Kind> Kind for Vec<T> {
    fn kind() -> Type {
        T::list()
    }

    fn list() -> Type {
        T::list()
    }
}

/// Values with their types.
pub(crate) fn typed(given: Given<'_>) -> Vec<(&(dyn ToSql + Sync), Type)> {
    given.iter().map(|parameter| (parameter.value(), parameter.kind())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_has_the_type_that_the_driver_can_write_it_as() {
        let (text, id) = ("text".to_owned(), Uuid::nil());
        let values: Vec<&(dyn Parameter + Sync)> =
            vec![&true, &1_i32, &1_i64, &1.0_f64, &"text", &text, &id, &Timestamp::UNIX_EPOCH, &Json(1), &None::<&str>];
        let lists: Vec<Box<dyn Parameter + Sync>> = vec![
            Box::new(vec![1_i32]),
            Box::new(vec![Some("text")]),
            Box::new(vec![Some(Json(1))]),
            Box::new(vec![Uuid::nil()]),
            Box::new(vec![None::<Timestamp>]),
            Box::new(Some(vec![1_u8])),
        ];
        for parameter in values.into_iter().chain(lists.iter().map(|list| &**list)) {
            let written = parameter.value().to_sql_checked(&parameter.kind(), &mut bytes::BytesMut::new());
            assert!(written.is_ok(), "{parameter:?} as {}", parameter.kind());
        }
    }
}
