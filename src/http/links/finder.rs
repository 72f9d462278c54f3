//! The finder: where a slug leads, from memory or from the database, which is asked one question at a time.
//!
//! What is not in memory is asked for together with whatever else was asked meanwhile, so that a flood of requests, even
//! for a million different slugs, is a few statements a second. Memory is bounded, and what nobody asks for twice does not
//! push out what many ask for.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use quick_cache::Weighter;
use quick_cache::sync::Cache;
use tokio::sync::{mpsc, oneshot};
use tracing::{info, warn};

use crate::http::errors::Refusal;
use crate::link::{self, Prefix};
use crate::store::links::Found;
use crate::store::{Store, StoreError};

/// How old an answer may be. A link that does not exist may be made any moment.
const FRESH: Duration = Duration::from_secs(5);
const FRESH_NOWHERE: Duration = Duration::from_secs(2);

/// How old it may be while the database does not answer.
const STALE_MAX: Duration = Duration::from_mins(1);

/// How long a visitor waits for the database.
const LOOK_MAX: Duration = Duration::from_secs(3);

/// Requests that wait at a time, and slugs in one statement.
const WAITING_MAX: usize = 2048;
const BATCH_MAX: usize = 500;

/// After the database did not answer it is left alone for so long, whoever asks.
const REST: Duration = Duration::from_millis(200);

/// Entries, and bytes of slugs and targets.
const ENTRIES: usize = 20_000;
const BYTES_MAX: u64 = 8 << 20;

/// Where a slug leads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Place {
    /// There, and the link has this key.
    Leads { key: Arc<str>, target: Arc<str> },
    /// It led somewhere once.
    Over,
    /// No link has it.
    Nowhere,
}

/// An answer, and when it was given.
#[derive(Debug, Clone)]
struct Known {
    place: Place,
    at: Instant,
    over_at: Option<Instant>,
}

#[derive(Clone)]
struct Weight;

impl Weighter<String, Known> for Weight {
    fn weight(&self, slug: &String, known: &Known) -> u64 {
        let place = match &known.place {
            Place::Leads { key, target } => key.len() + target.len(),
            Place::Over | Place::Nowhere => 0,
        };
        128 + (slug.len() + place) as u64
    }
}

type Memory = Cache<String, Known, Weight>;

/// One visitor's question.
struct Question {
    slug: String,
    answer: oneshot::Sender<Option<Place>>,
}

/// Where it looks, and what no link may lead to.
struct Base {
    store: Store,
    prefix: Option<Prefix>,
}

/// Answers visitors.
#[derive(Clone)]
pub(super) struct Finder {
    memory: Arc<Memory>,
    questions: mpsc::Sender<Question>,
}

impl Finder {
    /// Starts to answer; it ends with the last of its clones.
    pub(super) fn start(store: Store, prefix: Option<Prefix>) -> Self {
        let memory = Arc::new(Cache::with_weighter(ENTRIES, BYTES_MAX, Weight));
        let (questions, asked) = mpsc::channel(WAITING_MAX);
        tokio::spawn(answer(Base { store, prefix }, Arc::clone(&memory), asked));
        Self { memory, questions }
    }

    /// Where a slug leads.
    pub(super) async fn find(&self, slug: String) -> Result<Place, Refusal> {
        let known = self.memory.get(&slug);
        if let Some(known) = known.as_ref().filter(|known| known.is_fresh()) {
            return Ok(known.now());
        }
        let (answer, answered) = oneshot::channel();
        // Full: so many wait already that this one would be given up before its turn.
        let place = if self.questions.try_send(Question { slug, answer }).is_ok() {
            tokio::time::timeout(LOOK_MAX, answered).await.ok().and_then(Result::ok).flatten()
        } else {
            None
        };
        let stale = || known.filter(|known| known.at.elapsed() < STALE_MAX).map(|known| known.now());
        place.or_else(stale).ok_or_else(|| {
            Refusal::unavailable("unavailable", "where this link leads cannot be told now", 1).hint("try again")
        })
    }
}

impl std::fmt::Debug for Finder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Finder").field("entries", &self.memory.len()).finish_non_exhaustive()
    }
}

impl Known {
    fn of(found: Option<Found>, prefix: Option<&Prefix>, at: Instant) -> Self {
        let Some(found) = found else { return Self { place: Place::Nowhere, at, over_at: None } };
        // The row may have been changed since it was looked at by whoever made it active.
        let target = link::target(&found.target_url, prefix);
        let place = match (found.status.as_str(), target) {
            ("active", Ok(target)) => Place::Leads { key: found.key.into(), target: target.as_str().into() },
            // Not made yet.
            ("creating", _) => Place::Nowhere,
            _ => Place::Over,
        };
        Self { place, at, over_at: found.expires_in.map(|left| at + left.min(FRESH + STALE_MAX)) }
    }

    fn is_fresh(&self) -> bool {
        self.at.elapsed() < if self.place == Place::Nowhere { FRESH_NOWHERE } else { FRESH }
    }

    /// Where it leads at this moment: it may have expired since it was looked up.
    fn now(&self) -> Place {
        let is_over = self.over_at.is_some_and(|over_at| over_at <= Instant::now());
        if is_over && self.place != Place::Nowhere { Place::Over } else { self.place.clone() }
    }
}

/// Answers questions, as many at a time as there are, until nobody can ask any more.
async fn answer(base: Base, memory: Arc<Memory>, mut asked: mpsc::Receiver<Question>) {
    let mut questions = Vec::with_capacity(BATCH_MAX);
    let mut is_broken = false;
    while asked.recv_many(&mut questions, BATCH_MAX).await > 0 {
        match look_up(&base, &memory, &questions).await {
            Ok(known) => {
                for Question { slug, answer } in questions.drain(..) {
                    // Whoever does not wait any more misses nothing.
                    let _ = answer.send(known.get(slug.as_str()).map(Known::now));
                }
                if std::mem::take(&mut is_broken) {
                    info!("Links can be looked up again");
                }
            }
            Err(error) => {
                questions.clear();
                if !std::mem::replace(&mut is_broken, true) {
                    warn!(
                        error = error.chain(),
                        "Links cannot be looked up; those that are known are served for a minute"
                    );
                }
                tokio::time::sleep(REST).await;
            }
        }
    }
}

/// Answers for all of these, the last ones in memory where somebody has asked just before.
async fn look_up(base: &Base, memory: &Memory, questions: &[Question]) -> Result<HashMap<String, Known>, StoreError> {
    let waiting = questions.iter().filter(|question| !question.answer.is_closed());
    let slugs: HashSet<&str> = waiting.map(|question| question.slug.as_str()).collect();
    let (mut answers, mut slugs_to_find) = (HashMap::new(), Vec::new());
    for slug in slugs {
        match memory.get(slug).filter(Known::is_fresh) {
            Some(known) => drop(answers.insert(slug.to_owned(), known)),
            None => slugs_to_find.push(slug),
        }
    }
    if slugs_to_find.is_empty() {
        return Ok(answers);
    }
    // Before the question: what the answer says was true at least until then.
    let at = Instant::now();
    let mut found = base.store.find_links(&slugs_to_find).await?;
    for slug in slugs_to_find {
        let known = Known::of(found.remove(slug), base.prefix.as_ref(), at);
        memory.insert(slug.to_owned(), known.clone());
        answers.insert(slug.to_owned(), known);
    }
    Ok(answers)
}
