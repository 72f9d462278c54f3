//! The CLI as a program: what it is told by flags and by environment, and what it needs to be there.

use secrecy::{ExposeSecret, SecretString};

use super::answer::{Said, failure, interrupted};
use super::{SPACING, Settings, request};
use crate::failure::{Failure, Fault};
use crate::integrations::Limits;
use crate::integrations::command::{Command, NotStarted, can_start};
use crate::integrations::redact::Redactor;

/// The CLI with its settings.
#[derive(Debug)]
pub(super) struct Cli {
    settings: Settings,
    redactor: Redactor,
}

impl Cli {
    /// With these settings; an empty setting counts as missing.
    pub(super) fn new(mut settings: Settings) -> Self {
        let is_set = |value: &String| !value.is_empty();
        settings.email = settings.email.filter(is_set);
        settings.event_id = settings.event_id.filter(is_set);
        settings.password = settings.password.filter(|password| !password.expose_secret().is_empty());
        let secrets = [settings.email.as_deref(), settings.password.as_ref().map(ExposeSecret::expose_secret)];
        let redactor = Redactor::new(secrets.into_iter().flatten());
        Self { settings, redactor }
    }

    /// What is missing, in words; `Ok` when nothing is.
    pub(super) fn missing(&self) -> Result<(), String> {
        let settings = &self.settings;
        let needed = [
            ("FIENTA_CLI", settings.argv.is_empty()),
            ("FIENTA_EMAIL", settings.email.is_none()),
            ("FIENTA_PASSWORD", settings.password.is_none()),
            ("FIENTA_EVENT_ID", settings.event_id.is_none()),
        ];
        let missing: Vec<&str> = needed.iter().filter(|(_, is_missing)| *is_missing).map(|(name, _)| *name).collect();
        if !missing.is_empty() {
            return Err(format!(
                "Fienta is not configured: codes and orders wait until {} is set.",
                missing.join(", ")
            ));
        }
        if !settings.event_id.as_deref().is_some_and(request::is_id) {
            return Err(
                "FIENTA_EVENT_ID is not an event's number, like 200100; codes and orders wait until it is.".to_owned()
            );
        }
        Ok(())
    }

    /// What cannot work on this machine.
    pub(super) fn examine(&self) -> Result<(), String> {
        self.missing()?;
        let Some(program) = self.settings.argv.first() else { return Ok(()) };
        can_start(program, self.settings.dir.as_deref()).map_err(|reason| match (&self.settings.dir, &reason) {
            (Some(dir), NotStarted::Dir) => {
                format!("FIENTA_CLI_DIR {} is not there; codes and orders wait until it is.", dir.display())
            }
            _ => format!(
                "The program {program} of FIENTA_CLI is not there, or not executable; codes and orders wait until it is."
            ),
        })
    }

    /// Runs it once.
    pub(super) async fn run(&self, mut argv: Vec<String>, output_bytes_max: usize, limits: &Limits) -> Said {
        let settings = &self.settings;
        argv.extend(settings.event_id.iter().map(|id| format!("--event-id={id}")));
        argv.push("--json".to_owned());
        let env = [
            ("FIENTA_EMAIL", settings.email.as_deref()),
            ("FIENTA_PASSWORD", settings.password.as_ref().map(ExposeSecret::expose_secret)),
            ("FIENTA_EVENT_ID", settings.event_id.as_deref()),
        ];
        let command = Command {
            argv: settings.argv.iter().cloned().chain(argv).map(Into::into).collect(),
            dir: settings.dir.clone(),
            env: env.into_iter().filter_map(|(name, value)| Some((name, SecretString::from(value?)))).collect(),
            output_bytes_max,
            guard: settings.guard.clone(),
        };
        Said::of(&command.run(limits).await, &self.redactor)
    }
}

/// What could not be looked at, so that it is still not known whether the operation took effect.
pub(super) fn not_known(fault: Fault, verb: &str, what: &str) -> Failure {
    failure(fault, format!("It is not known whether the {verb} took effect: {what}")).uncertain()
}

pub(super) fn uncertain_if(is_uncertain: bool, failure: Failure) -> Failure {
    if is_uncertain { failure.uncertain() } else { failure }
}

/// A request that cannot be run as it stands. Where an earlier attempt may have taken effect, that is still not known.
pub(super) fn cannot_run(is_uncertain: bool, why: &str) -> Failure {
    if is_uncertain {
        let doubt = "An earlier attempt may have taken effect: look at Fienta, then use rowcall.resolve.";
        failure(Fault::Unknowable, format!("{doubt} {why}")).uncertain().unasked()
    } else {
        failure(Fault::Item, why).unasked()
    }
}

/// Keeps the spacing between two runs; an error when the worker must stop meanwhile.
pub(super) async fn rest(limits: &Limits) -> Result<(), Failure> {
    tokio::select! {
        () = tokio::time::sleep(SPACING) => Ok(()),
        () = limits.stop.cancelled() => Err(interrupted()),
    }
}
