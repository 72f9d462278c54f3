//! Meta's error codes: one table from a code to what becomes of the reply.
//!
//! Whoever gets one of these knows that the message did not go out, whatever the HTTP status: they are the API's own
//! words. The classes are those of Meta's table and of several clients. A code that nobody knows is transient when Meta
//! says so; else it ends the reply, but for a fault of Meta's own (HTTP 5xx), after which nobody can tell.

use serde::Deserialize;

use crate::failure::Fault;
use crate::integrations::http::Answer;
use crate::integrations::quote::Private;
use crate::integrations::whatsapp::provider::Try;
use crate::integrations::whatsapp::reception::{Reception, throttled};

/// So many attempts are spent on a fault that Meta does not name (135000).
const UNNAMED_ATTEMPTS_MAX: i32 = 3;

/// How often the pair limit's pause is multiplied by four: 1, 4, 16, 64, 256 seconds.
const PAIR_EXPONENT_MAX: u32 = 4;

/// An error as Meta words it.
#[derive(Deserialize)]
pub(super) struct Said {
    code: i64,
    #[serde(default)]
    error_subcode: Option<i64>,
    #[serde(default)]
    message: Option<String>,
    #[serde(default)]
    error_data: Option<Data>,
    #[serde(default)]
    is_transient: Option<bool>,
}

#[derive(Deserialize)]
struct Data {
    #[serde(default)]
    details: Option<String>,
}

/// What a code means for the reply and for the sender.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Class {
    /// The token, or what it may do.
    Credentials,
    /// The sender may not send at the moment; every reply would meet the same.
    Restricted(&'static str),
    /// Something of ours points to nothing.
    Configuration,
    /// WhatsApp is down for everybody, or the sender is in maintenance.
    Outage,
    /// The sender sends too fast; seconds to wait where Meta does not say.
    Throttled(u64),
    /// This contact is written to too fast.
    Pair,
    /// The next attempt may not meet it.
    Transient,
    /// The same, but only a few times.
    Unnamed,
    /// A fault on their side, in words that do not say whether the message went out.
    Unclear,
    /// The contact has been silent for more than 24 hours.
    WindowClosed,
    /// This reply never goes out so; what it is, and what a person can do.
    Terminal(&'static str, &'static str),
    /// The same, where Meta's own words say it best.
    Refused,
}

impl Class {
    fn of(code: i64, subcode: Option<i64>) -> Option<Self> {
        Some(match (code, subcode) {
            (0 | 3 | 10 | 190 | 200..=299 | 131_005, _) => Self::Credentials,
            // Graph's words for an object that is not there, or not ours.
            (100, Some(33)) | (33 | 133_010, _) => Self::Configuration,
            (4 | 80_007 | 133_016, _) => Self::Throttled(60),
            (130_429, _) => Self::Throttled(5),
            (131_056, _) => Self::Pair,
            (131_048, _) => Self::Restricted("too many of its messages were blocked or reported as spam"),
            (368, _) => Self::Restricted("it broke WhatsApp's policies"),
            (131_031, _) => Self::Restricted("its account is locked"),
            (131_042 | 131_044, _) => Self::Restricted("its payment method does not work"),
            (131_045, _) => Self::Restricted("its certificate or registration does not work"),
            (131_037, _) => Self::Restricted("its display name is not approved"),
            (131_064, _) => Self::Restricted("it has reached its messaging limit"),
            (2 | 131_016 | 131_057, _) => Self::Outage,
            (1 | 131_000, _) => Self::Transient,
            (135_000, _) => Self::Unnamed,
            (131_047, _) => Self::WindowClosed,
            _ => return Self::terminal(code),
        })
    }

    fn terminal(code: i64) -> Option<Self> {
        const NUMBER: &str = "Check the contact's phone number, or reach them in another way.";
        const OTHER_WAY: &str = "Reach the contact in another way.";
        const TEMPLATE: &str = "Correct the approved template in response_templates, then use rowcall.retry.";
        let (what, advice) = match code {
            // Others, in other countries, may be written to.
            130_497 => ("The business may not write to people in the contact's country", OTHER_WAY),
            131_021 => ("The contact's phone number is the business's own", "Correct it in contacts."),
            131_026 => (
                "The message cannot be delivered: the number is not on WhatsApp, or its WhatsApp is too old or has not \
                 accepted the terms",
                NUMBER,
            ),
            131_030 => (
                "The contact's number is not among those that a test number may write to",
                "Add it in Meta's console, then use rowcall.retry.",
            ),
            131_049 => (
                "WhatsApp held the message back so that the contact does not get too many",
                "Try again after a day at the earliest, with rowcall.retry.",
            ),
            131_050 => ("The contact has asked for no more such messages", OTHER_WAY),
            130_472 => ("WhatsApp held the message back: the contact is part of an experiment of Meta's", OTHER_WAY),
            132_000 => ("The approved template takes another number of parameters", TEMPLATE),
            132_001 => ("The approved template does not exist in this language", TEMPLATE),
            132_005 => ("The approved template's text became too long with its parameters", TEMPLATE),
            132_007 => ("The approved template's content breaks a policy", TEMPLATE),
            132_008 | 132_012 => ("The parameters do not fit the approved template", TEMPLATE),
            132_015 => ("The approved template is paused for its low quality", TEMPLATE),
            132_016 => ("The approved template is disabled for its low quality", TEMPLATE),
            132_068 | 132_069 => ("The flow of the approved template is blocked or throttled", TEMPLATE),
            137_000 => ("The contact's identity has changed", NUMBER),
            100 | 131_008 | 131_009 | 131_051..=131_053 | 131_062 | 131_063 | 138_000..=139_999 => {
                return Some(Self::Refused);
            }
            _ => return None,
        };
        Some(Self::Terminal(what, advice))
    }
}

impl Said {
    /// What becomes of the reply.
    pub(super) fn reception(&self, answer: &Answer, this: &Try, private: &Private) -> Reception {
        let code = self.code;
        let quote = || {
            let details = self.error_data.as_ref().and_then(|data| data.details.as_deref());
            details.or(self.message.as_deref()).map(|words| private.quote(words)).unwrap_or_default()
        };
        let class = Class::of(code, self.error_subcode).unwrap_or_else(|| match self.is_transient {
            Some(true) => Class::Transient,
            _ if answer.status.is_server_error() => Class::Unclear,
            _ => Class::Refused,
        });
        match class {
            Class::Credentials => Reception::refused(
                Fault::Credentials,
                format!(
                    "WhatsApp refused the access (code {code}); replies wait until WHATSAPP_ACCESS_TOKEN is valid and \
                     may send messages."
                ),
            ),
            Class::Configuration => Reception::refused(
                Fault::Configuration,
                format!(
                    "WhatsApp does not know the sending number (code {code}); replies wait until \
                     WHATSAPP_PHONE_NUMBER_ID is right."
                ),
            ),
            Class::Restricted(why) => Reception::refused(
                Fault::Outage,
                format!(
                    "WhatsApp does not let the business's number send: {why} (code {code}). Replies wait; put it right \
                     in WhatsApp Manager, then use rowcall.resume."
                ),
            ),
            Class::Outage => Reception::refused(
                Fault::Outage,
                format!("WhatsApp is not available just now (code {code}); replies wait and go on by themselves."),
            ),
            Class::Throttled(seconds) => {
                Reception::throttled(&format!("WhatsApp asks for patience (code {code})"), answer, seconds)
            }
            Class::Pair => Reception::PairLimit(throttled(
                &format!("WhatsApp asks for patience with this contact (code {code})"),
                answer,
                4_u64.pow(this.pair_pauses.min(PAIR_EXPONENT_MAX)),
            )),
            Class::Unnamed if this.attempt >= UNNAMED_ATTEMPTS_MAX => Reception::refused(
                Fault::Item,
                format!(
                    "WhatsApp could not send it in {attempt} attempts and does not say why (code {code}). Look at the \
                     action, then use rowcall.retry.",
                    attempt = this.attempt
                ),
            ),
            Class::Unnamed | Class::Transient => {
                Reception::transient(&format!("WhatsApp could not do it just now (code {code})"))
            }
            Class::Unclear => Reception::Unknown {
                what: format!("WhatsApp had a fault of its own (HTTP {}, code {code})", answer.status.as_u16()),
                is_outage: true,
            },
            Class::WindowClosed => Reception::WindowClosed,
            Class::Terminal(what, advice) => Reception::refused(Fault::Item, format!("{what} (code {code}). {advice}")),
            Class::Refused => Reception::refused(
                Fault::Item,
                format!(
                    "WhatsApp refused the message with code {code}{}. Look at the action, then use rowcall.retry.",
                    quote()
                ),
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_has_its_class() {
        let of = |code| Class::of(code, None);
        for code in [0, 3, 10, 190, 200, 250, 299, 131_005] {
            assert_eq!(of(code), Some(Class::Credentials), "{code}");
        }
        for code in [131_048, 368, 131_031, 131_042, 131_044, 131_045, 131_037, 131_064] {
            assert!(matches!(of(code), Some(Class::Restricted(_))), "{code}");
        }
        for (code, seconds) in [(4, 60), (80_007, 60), (133_016, 60), (130_429, 5)] {
            assert_eq!(of(code), Some(Class::Throttled(seconds)), "{code}");
        }
        for code in [2, 131_016, 131_057] {
            assert_eq!(of(code), Some(Class::Outage), "{code}");
        }
        for code in [1, 131_000] {
            assert_eq!(of(code), Some(Class::Transient), "{code}");
        }
        assert_eq!(of(131_056), Some(Class::Pair));
        assert_eq!(of(135_000), Some(Class::Unnamed));
        assert_eq!(of(131_047), Some(Class::WindowClosed));
        for code in [
            131_021, 131_026, 131_030, 131_049, 131_050, 130_472, 130_497, 132_000, 132_001, 132_005, 132_007, 132_008,
            132_012, 132_015, 132_016, 132_068, 132_069, 137_000,
        ] {
            assert!(matches!(of(code), Some(Class::Terminal(_, _))), "{code}");
        }
        for code in [100, 131_008, 131_009, 131_051, 131_052, 131_053, 131_062, 131_063, 138_000, 139_999] {
            assert_eq!(of(code), Some(Class::Refused), "{code}");
        }
        for (code, subcode) in [(100, Some(33)), (33, None), (133_010, None)] {
            assert_eq!(Class::of(code, subcode), Some(Class::Configuration), "{code}");
        }
        for code in [-1, 5, 300, 999_999] {
            assert_eq!(of(code), None, "{code}");
        }
    }
}
