//! What a CRM does for one customer: add, cancel, upgrade. Each looks before it changes anything, or makes a change that
//! may be made twice, so that every one of them may be run again at any time.

use futures_util::future::BoxFuture;
use jiff::Timestamp;

use super::UpgradeOrder;
use super::payload::{Club, Steps};
use crate::failure::Failure;

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Change {
    Add,
    Cancel,
    Upgrade,
}

impl Change {
    /// The change that the queue's word means.
    pub(super) fn of(operation: &str) -> Option<Self> {
        [Self::Add, Self::Cancel, Self::Upgrade].into_iter().find(|change| change.as_str() == operation)
    }

    /// The queue's word for it.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Add => "add_membership",
            Self::Cancel => "cancel_membership",
            Self::Upgrade => "upgrade_membership",
        }
    }
}

/// What an attempt has come to know and to do, whether or not it got to its end.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) customer_id: Option<String>,
    /// Of the club that was asked for.
    pub(super) membership_id: Option<String>,
    pub(super) steps: Steps,
    /// Something was changed in the CRM by this attempt.
    pub(super) has_changed: bool,
    /// The CRM has shown how things stand, so that no earlier attempt leaves a doubt.
    pub(super) has_looked: bool,
}

/// One customer in one CRM.
pub(super) trait Provider: Send {
    /// Makes the customer a member; the membership's id, whoever made it.
    fn add<'a>(&'a mut self, club: &'a Club) -> BoxFuture<'a, Result<String, Failure>>;

    /// Ends the membership that was made for it, and every other of the club; the id of one of them, if there was any.
    fn cancel<'a>(&'a mut self, club: &'a Club) -> BoxFuture<'a, Result<Option<String>, Failure>>;

    /// Whether the two are one to this CRM.
    fn is_same(&self, one: &Club, other: &Club) -> bool;

    /// What was found and done so far.
    fn found(&mut self) -> &mut Found;

    /// How often the CRM was called.
    fn calls(&self) -> u32;

    /// Moves the customer from one club to another, in two steps that are remembered: what is remembered is not done
    /// again, even if a person has changed it since.
    fn upgrade<'a>(
        &'a mut self,
        from: Option<&'a Club>,
        to: &'a Club,
        order: UpgradeOrder,
    ) -> BoxFuture<'a, Result<(), Failure>> {
        Box::pin(async move {
            let from = from.filter(|from| !self.is_same(from, to));
            for step in order.steps() {
                match step {
                    Step::Add if self.found().steps.new_membership_id.is_none() => {
                        let id = self.add(to).await?;
                        self.found().steps.new_membership_id = Some(id);
                    }
                    Step::Cancel if self.found().steps.cancelled_old_at.is_none() => {
                        if let Some(from) = from {
                            self.cancel(from).await?;
                        }
                        self.found().steps.cancelled_old_at = Some(Timestamp::now());
                    }
                    Step::Add | Step::Cancel => {}
                }
            }
            Ok(())
        })
    }
}

/// One of an upgrade's two steps.
#[derive(Debug, Clone, Copy)]
pub(super) enum Step {
    Add,
    Cancel,
}

impl UpgradeOrder {
    fn steps(self) -> [Step; 2] {
        match self {
            Self::AddFirst => [Step::Add, Step::Cancel],
            Self::CancelFirst => [Step::Cancel, Step::Add],
        }
    }
}
