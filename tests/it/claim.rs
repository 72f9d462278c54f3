//! The claim: who gets which row, in which order, and under which conditions.

use std::collections::HashSet;
use std::time::Duration;

use rowcall::job::Job;
use rowcall::store::Store;
use rowcall::store::claims::Claim;
use rowcall::store::queues::CODES;
use rowcall::store::workers::Introduction;
use uuid::Uuid;

use crate::database::{self, TestDatabase};

/// A worker that is known to the database and does nothing by itself.
pub(crate) struct Hand {
    pub(crate) store: Store,
    pub(crate) id: Uuid,
}

impl Hand {
    pub(crate) async fn of(db: &TestDatabase) -> Self {
        let hand = Self { store: db.store(), id: Uuid::new_v4() };
        let introduction =
            Introduction { host: "test".to_owned(), pid: 1, version: "0", queues: vec!["codes".to_owned()] };
        hand.store.register(hand.id, &introduction).await.unwrap();
        hand
    }

    pub(crate) fn claim(&self, limit: usize) -> Claim {
        Claim { limit, worker: self.id, token: Uuid::new_v4(), lease: Duration::from_mins(10), bounded: false, skip: 0 }
    }

    pub(crate) async fn take(&self, limit: usize) -> Vec<Job> {
        self.store.claim(&CODES, self.claim(limit)).await.unwrap()
    }

    /// Makes it dead, as if its last heartbeat were long ago.
    pub(crate) async fn die(&self, db: &TestDatabase) {
        db.run(&format!(
            "update rowcall.workers set heartbeat_at = now() - interval '16 seconds' where id = '{}'",
            self.id
        ))
        .await;
    }
}

fn keys(jobs: &[Job]) -> Vec<&str> {
    jobs.iter().map(|job| job.key.as_str()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_oldest_due_row_comes_first_and_one_that_is_not_due_not_at_all() {
    let db = TestDatabase::new().await;
    db.fast().await;
    let hand = Hand::of(&db).await;
    db.ask(4).await;
    db.run(
        "update codes set next_retry_at = now() - interval '1 hour' where code = 'CODE-3';
         update codes set next_retry_at = now() + interval '1 hour' where code = 'CODE-2'",
    )
    .await;
    assert_eq!(keys(&hand.take(10).await), ["3", "1", "4"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_claimed_row_is_handed_to_nobody_else() {
    let db = TestDatabase::new().await;
    db.fast().await;
    let (one, other) = (Hand::of(&db).await, Hand::of(&db).await);
    db.ask(3).await;
    assert_eq!(one.take(2).await.len(), 2);
    assert_eq!(keys(&other.take(10).await), ["3"]);
    assert_eq!(other.take(10).await.len(), 0);
    assert_eq!(one.take(10).await.len(), 0, "nor to itself under another token");
}

#[tokio::test(flavor = "multi_thread")]
async fn claims_at_the_same_time_never_share_a_row() {
    let db = TestDatabase::new().await;
    db.fast().await;
    db.ask(400).await;
    let hands = futures_util::future::join_all((0..8).map(|_| Hand::of(&db))).await;
    let claims = hands.iter().flat_map(|hand| (0..4).map(|_| hand.take(13)));
    let taken: Vec<String> =
        futures_util::future::join_all(claims).await.into_iter().flatten().map(|job| job.key).collect();
    assert_eq!(taken.len(), 400, "a claim that meets a claimed row takes the next ones");
    assert_eq!(taken.iter().collect::<HashSet<_>>().len(), 400);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_somebody_holds_locked_keeps_no_claim_waiting() {
    let db = TestDatabase::new().await;
    db.fast().await;
    let hand = Hand::of(&db).await;
    db.ask(3).await;
    let user = db.connect().await;
    database::run(&user, "begin; update codes set metadata = metadata || '{\"note\": 1}' where code = 'CODE-1'").await;
    let jobs = tokio::time::timeout(Duration::from_secs(10), hand.take(10)).await.expect("it does not wait");
    assert_eq!(keys(&jobs), ["2", "3"]);
    database::run(&user, "commit").await;
    assert_eq!(keys(&hand.take(10).await), ["1"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_claim_whose_answer_was_lost_returns_the_same_rows_when_repeated() {
    let db = TestDatabase::new().await;
    db.fast().await;
    let hand = Hand::of(&db).await;
    db.ask(3).await;
    let claim = hand.claim(2);
    let first = hand.store.claim(&CODES, claim).await.unwrap();
    let again = hand.store.claim(&CODES, claim).await.unwrap();
    let facts = |jobs: &[Job]| -> Vec<_> { jobs.iter().map(|j| (j.key.clone(), j.attempt, j.uncertain)).collect() };
    assert_eq!(facts(&first), facts(&again));
    assert_eq!(db.settled_as("lost").await, 0, "the repeat is no attempt");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeated_claim_still_tells_what_is_uncertain() {
    let db = TestDatabase::new().await;
    db.fast().await;
    let (dead, hand) = (Hand::of(&db).await, Hand::of(&db).await);
    db.ask(1).await;
    assert_eq!(dead.take(1).await.len(), 1);
    dead.die(&db).await;
    db.ask_more("CODE-2").await;
    let claim = hand.claim(2);
    for answer in ["lost", "repeated", "repeated again"] {
        let jobs = hand.store.claim(&CODES, claim).await.unwrap();
        let uncertain: Vec<_> = jobs.iter().map(|j| (j.key.as_str(), j.attempt, j.uncertain)).collect();
        assert_eq!(uncertain, [("1", 2, true), ("2", 1, false)], "{answer}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_workers_rows_are_open_and_uncertain_and_its_attempt_counts() {
    let db = TestDatabase::new().await;
    db.fast().await;
    let (dead, alive) = (Hand::of(&db).await, Hand::of(&db).await);
    db.ask(2).await;
    assert_eq!(dead.take(1).await.len(), 1);
    assert_eq!(keys(&alive.take(10).await), ["2"], "while it lives, its row is its own");
    dead.die(&db).await;
    let jobs = alive.take(10).await;
    assert_eq!((keys(&jobs), jobs[0].uncertain, jobs[0].attempt), (vec!["1"], true, 2));
    let lost: Uuid =
        db.get("select worker from rowcall.attempts where settled_as = 'lost' and key = '1' and attempt = 1").await;
    assert_eq!(lost, dead.id);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lease_that_ran_out_opens_the_row_though_its_worker_lives() {
    let db = TestDatabase::new().await;
    db.fast().await;
    let (slow, other) = (Hand::of(&db).await, Hand::of(&db).await);
    db.ask(1).await;
    slow.take(1).await;
    assert_eq!(other.take(1).await.len(), 0);
    db.run("update codes set claimed_until = now() - interval '1 second'").await;
    assert!(other.take(1).await[0].uncertain);
    assert_eq!(db.settled_as("lost").await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_out_of_attempts_is_handed_out_to_be_ended() {
    let db = TestDatabase::new().await;
    db.fast().await;
    db.ask(1).await;
    db.run("update codes set attempts = max_attempts").await;
    assert!(Hand::of(&db).await.take(1).await[0].is_exhausted());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_bound_of_the_cluster_holds_against_claims_at_the_same_time() {
    let db = TestDatabase::new().await;
    db.ask(100).await;
    db.run("update rowcall.queues set cluster_slots = 3").await;
    let hands = futures_util::future::join_all((0..6).map(|_| Hand::of(&db))).await;
    let claims = hands
        .iter()
        .flat_map(|hand| (0..4).map(|_| hand.store.claim(&CODES, Claim { bounded: true, ..hand.claim(2) })));
    let taken: usize = futures_util::future::join_all(claims).await.into_iter().map(|jobs| jobs.unwrap().len()).sum();
    assert_eq!(taken, 3);
    hands[0].die(&db).await;
    let held: i64 = db.get(&format!("select count(*) from codes where claimed_by = '{}'", hands[0].id)).await;
    let again = hands[1].store.claim(&CODES, Claim { bounded: true, ..hands[1].claim(5) }).await.unwrap();
    assert_eq!(i64::try_from(again.len()).unwrap(), held, "what a dead worker held is free again");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_counts_as_dead_gets_nothing() {
    let db = TestDatabase::new().await;
    db.fast().await;
    let (dead, alive) = (Hand::of(&db).await, Hand::of(&db).await);
    db.ask(2).await;
    assert_eq!(dead.take(1).await.len(), 1);
    dead.die(&db).await;
    assert_eq!(
        dead.take(10).await.len(),
        0,
        "neither what it holds already, for that would spend its attempts, nor more"
    );
    assert_eq!(alive.take(10).await.len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_claim_changes_no_index() {
    let db = TestDatabase::new().await;
    db.fast().await;
    let hand = Hand::of(&db).await;
    db.ask(200).await;
    // Few enough to find room on their page beside the rows that it was filled with.
    let claim = CODES.claim.replace("$1", "5").replace("$2", &format!("'{}'", hand.id));
    let claim = claim.replace("$3", &format!("'{}'", Uuid::new_v4())).replace("$4", "600").replace("$5", "0");
    let client = db.connect().await;
    database::run(&client, &format!("begin; {claim}")).await;
    let hot = "select n_tup_upd || ' ' || n_tup_hot_upd from pg_stat_xact_user_tables where relname = 'codes'";
    assert_eq!(database::get::<String>(&client, hot).await, "5 5", "every update stays on its page");
}
