//! Where profiles come from: those that ship, or a file of the user's.

use std::fs;
use std::path::PathBuf;

use super::Profile;
use super::parts::one_line;

/// The profiles that ship, by name.
pub const SHIPPED: [(&str, &str); 5] = [
    ("at-ishare", include_str!("../../../../profiles/at-ishare.toml")),
    ("codecraft", include_str!("../../../../profiles/codecraft.toml")),
    ("spfastit", include_str!("../../../../profiles/spfastit.toml")),
    ("hubnet", include_str!("../../../../profiles/hubnet.toml")),
    ("xpress", include_str!("../../../../profiles/xpress.toml")),
];

/// Why a profile cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ProfileError {
    /// It is none of those that ship, and no file.
    #[error("{name:?} is no profile: take one of {}, or the path of a file that ends in .toml", names())]
    NoSuch {
        /// What was asked for.
        name: String,
    },
    /// The file cannot be read.
    #[error("read {}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// It is not TOML.
    #[error("line {line}: {problem}")]
    Syntax {
        /// Which line.
        line: usize,
        /// What is wrong with it.
        problem: String,
    },
    /// A key is missing, is not known, or has a value that cannot be used.
    #[error("{key}: {problem}")]
    Key {
        /// The key, with those that it stands in: `response.code_map.100`.
        key: String,
        /// What is wrong with it.
        problem: String,
    },
}

fn names() -> String {
    SHIPPED.map(|(name, _)| name).join(", ")
}

/// The text of a profile that ships.
pub fn shipped(name: &str) -> Option<&'static str> {
    SHIPPED.iter().find(|(shipped, _)| *shipped == name).map(|(_, text)| *text)
}

impl Profile {
    /// The profile of that name, or in that file.
    pub fn load(name: &str) -> Result<Self, ProfileError> {
        if let Some(text) = shipped(name) {
            return Self::parse(text);
        }
        let path = PathBuf::from(name);
        if path.extension().is_none_or(|extension| extension != "toml") {
            return Err(ProfileError::NoSuch { name: name.chars().take(80).collect() });
        }
        let text = fs::read_to_string(&path).map_err(|source| ProfileError::File { path, source })?;
        Self::parse(&text)
    }

    /// Reads a profile and checks all of it.
    pub fn parse(text: &str) -> Result<Self, ProfileError> {
        let line = |error: &toml::de::Error| {
            let before = text.get(..error.span().map_or(0, |span| span.start)).unwrap_or_default();
            before.matches('\n').count() + 1
        };
        let document = toml::Deserializer::parse(text)
            .map_err(|error| ProfileError::Syntax { line: line(&error), problem: one_line(error.message()) })?;
        let profile: Self = serde_path_to_error::deserialize(document).map_err(|error| {
            let key = error.path().to_string();
            let problem = format!("{} (line {})", one_line(error.inner().message()), line(error.inner()));
            // At the top there is no path; the words name the key.
            let key = if key == "." { "profile".to_owned() } else { key };
            ProfileError::Key { key, problem }
        })?;
        profile.check()?;
        Ok(profile)
    }
}
