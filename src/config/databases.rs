//! Settings of the databases: where they are, and how many connections there may be.

use super::{ConfigError, Environment, whole};
use crate::connections::{self, Connections};
use crate::store::connect::Database;

/// The database of `DATABASE_URL`.
pub fn database(environment: &impl Environment) -> Result<Database, ConfigError> {
    let address = environment.get("DATABASE_URL").ok_or(ConfigError::NoDatabase)?;
    Database::parse(&address).map_err(|source| ConfigError::Address { variable: "DATABASE_URL", source })
}

/// The database of `LISTEN_DATABASE_URL`, if that is set.
pub fn listen(environment: &impl Environment) -> Result<Option<Database>, ConfigError> {
    let parse = |address: String| Database::parse(&address);
    let listen = environment.get("LISTEN_DATABASE_URL").map(parse).transpose();
    listen.map_err(|source| ConfigError::Address { variable: "LISTEN_DATABASE_URL", source })
}

/// `ROWCALL_CONNECTIONS_MAX`; as many as are of use, where it is not set.
pub(super) fn connections(environment: &impl Environment, serves_http: bool) -> Result<Connections, ConfigError> {
    const VARIABLE: &str = "ROWCALL_CONNECTIONS_MAX";
    if environment.get(VARIABLE).is_none() {
        return Ok(Connections::default());
    }
    Ok(Connections::shared(whole(environment, VARIABLE, 0, connections::RANGE)?, serves_http))
}
