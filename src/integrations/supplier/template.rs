//! Text of a profile with places to fill: `"Bearer ${secret.api_key}"`.
//!
//! A profile is read once, so a place that nobody can fill is an error at start, not in an order.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;

/// Text with places to fill. Its debug output shows no text: somebody may have written a secret into a profile.
#[derive(Clone, Deserialize)]
#[serde(try_from = "String")]
pub struct Template(Vec<Piece>);

#[derive(Clone)]
enum Piece {
    Text(String),
    Place(Place),
}

/// What a place is filled with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// The recipient's number in the profile's format.
    Msisdn,
    /// The bundle's size in the profile's unit.
    Volume,
    /// The order's package as it stands on the order.
    Package,
    /// The order's network in the supplier's word.
    Network,
    /// The order's amount, as a decimal text.
    Amount,
    /// The same in the currency's smallest unit, a whole number.
    AmountMinor,
    /// Our reference, as the profile derives it.
    Reference,
    /// The supplier's number of the order.
    ProviderReference,
    /// `AT_ISHARE_CALLBACK_URL`, with its token where the callback is known by one.
    CallbackUrl,
    /// `AT_ISHARE_API_KEY`
    ApiKey,
    /// `AT_ISHARE_API_SECRET`
    ApiSecret,
}

/// Every place, by the name that stands between the braces.
const PLACES: [(&str, Place); 11] = [
    ("msisdn", Place::Msisdn),
    ("volume", Place::Volume),
    ("package", Place::Package),
    ("network", Place::Network),
    ("amount", Place::Amount),
    ("amount_minor", Place::AmountMinor),
    ("reference", Place::Reference),
    ("provider_reference", Place::ProviderReference),
    ("callback_url", Place::CallbackUrl),
    ("secret.api_key", Place::ApiKey),
    ("secret.api_secret", Place::ApiSecret),
];

impl Place {
    /// The name between the braces.
    pub(super) fn name(self) -> &'static str {
        PLACES.iter().find(|(_, place)| *place == self).map_or("", |(name, _)| name)
    }

    /// Whether it is a secret, which stands in `auth` and nowhere else.
    pub(super) fn is_secret(self) -> bool {
        matches!(self, Self::ApiKey | Self::ApiSecret)
    }
}

/// Cuts a text into what stands outside of `${…}` and what stands inside: text, then place, in turn.
pub(super) fn cut(text: &str) -> Result<Vec<(&str, Option<&str>)>, &'static str> {
    let mut pieces = Vec::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("${") {
        let (inside, after) = after.split_once('}').ok_or("${ without its }")?;
        pieces.push((before, Some(inside)));
        rest = after;
    }
    pieces.push((rest, None));
    Ok(pieces)
}

impl TryFrom<String> for Template {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let mut pieces = Vec::new();
        for (before, inside) in cut(&text)? {
            if !before.is_empty() {
                pieces.push(Piece::Text(before.to_owned()));
            }
            let Some(inside) = inside else { continue };
            let known = PLACES.iter().find(|(name, _)| *name == inside);
            let names = || PLACES.map(|(name, _)| name).join(", ");
            let (_, place) = known.ok_or_else(|| format!("${{{inside}}} is not known, only {}", names()))?;
            pieces.push(Piece::Place(*place));
        }
        Ok(Self(pieces))
    }
}

impl Template {
    /// Fills every place; the place for which there is nothing is the error. `encode` is applied to what is filled in,
    /// not to the template's own text.
    pub(super) fn fill<'v>(
        &self,
        value: impl Fn(Place) -> Option<Cow<'v, str>>,
        encode: impl Fn(&str) -> String,
    ) -> Result<String, Place> {
        let mut text = String::new();
        for piece in &self.0 {
            match piece {
                Piece::Text(piece) => text.push_str(piece),
                Piece::Place(place) => text.push_str(&encode(&value(*place).ok_or(*place)?)),
            }
        }
        Ok(text)
    }

    /// Its places, in order.
    pub(super) fn places(&self) -> impl Iterator<Item = Place> {
        self.0.iter().filter_map(|piece| match piece {
            Piece::Place(place) => Some(*place),
            Piece::Text(_) => None,
        })
    }

    /// The place, if the template is that and nothing else.
    pub(super) fn only(&self) -> Option<Place> {
        match self.0.as_slice() {
            [Piece::Place(place)] => Some(*place),
            _ => None,
        }
    }
}

impl fmt::Debug for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.places()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn template(text: &str) -> Result<Template, String> {
        Template::try_from(text.to_owned())
    }

    #[test]
    fn places_are_filled_and_only_they_are_encoded() {
        let filled = template("/a b/${reference}?x=${msisdn}")
            .unwrap()
            .fill(|place| (place != Place::Volume).then(|| Cow::Borrowed(place.name())), str::to_uppercase);
        assert_eq!(filled.as_deref(), Ok("/a b/REFERENCE?x=MSISDN"));
        assert_eq!(template("${volume}").unwrap().fill(|_| None, str::to_owned), Err(Place::Volume));
        assert_eq!(template("plain $5 {x}").unwrap().fill(|_| None, str::to_owned).as_deref(), Ok("plain $5 {x}"));
    }

    #[test]
    fn what_nobody_can_fill_is_an_error_that_says_what_can() {
        let error = template("${secret.password}").unwrap_err();
        assert!(error.contains("secret.password") && error.contains("secret.api_secret"), "{error}");
        assert!(template("${reference").is_err());
    }

    #[test]
    fn every_place_has_a_name_of_its_own() {
        for (name, place) in PLACES {
            assert_eq!(place.name(), name);
        }
    }

    #[test]
    fn debug_shows_no_text() {
        let shown = format!("{:?}", template("Bearer hunter2 ${msisdn}").unwrap());
        assert!(!shown.contains("hunter2") && shown.contains("Msisdn"), "{shown}");
    }
}
