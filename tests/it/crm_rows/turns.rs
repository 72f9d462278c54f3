//! Whose turn it is: a customer's rows in their order, clients by turns, and within a client the more urgent first.

use std::collections::HashSet;
use std::sync::{Arc, Mutex};

use rowcall::failure::{Failure, Fault};
use serde_json::Value;

use rowcall::store::claims::Claim;

use super::{Crm, done, keys};

#[tokio::test(flavor = "multi_thread")]
async fn a_customers_rows_run_one_at_a_time_in_their_order_and_hold_up_nobody_else() {
    let crm = Crm::new().await;
    let client = crm.shop("one").await;
    let (first, other) = (crm.member(client).await, crm.member(client).await);
    let mut rows = Vec::new();
    for action in ["add_membership", "upgrade_membership", "cancel_membership"] {
        rows.push(crm.ask(first, action).await);
    }
    let others = crm.ask(other, "add_membership").await;
    // An urgent row does not overtake what its customer asked for before.
    crm.db.run(&format!("update crm_sync_queue set priority = 100 where id = {}", rows[2])).await;

    let mut jobs = crm.claim(10).await;
    assert_eq!(keys(&jobs), [rows[0].clone(), others]);
    assert!(crm.claim(10).await.is_empty());
    let job = jobs.remove(0);
    assert_eq!(crm.settle(job, Failure::new(Fault::Transient, "a hiccup")).await, "retry");
    assert!(crm.claim(10).await.is_empty(), "nothing overtakes what is tried again");
    crm.db.run("update crm_sync_queue set next_retry_at = now()").await;

    for (nth, row) in rows.iter().enumerate() {
        let job = crm.claim_one().await;
        assert_eq!(&job.key, row);
        // One that failed for good is out of the way.
        let outcome = if nth == 0 { Failure::new(Fault::Item, "no such club").into() } else { done() };
        crm.settle(job, outcome).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_is_next_of_a_customer_is_rung_for() {
    let crm = Crm::new().await;
    let client = crm.shop("one").await;
    let customer = crm.member(client).await;
    for action in ["add_membership", "cancel_membership"] {
        crm.ask(customer, action).await;
    }
    let ear = crate::database::Ear::on(&crm.db).await;
    for rings in [1, 0] {
        let job = crm.claim_one().await;
        crm.settle(job, done()).await;
        assert_eq!(ear.heard().await.iter().filter(|queue| *queue == "crm_sync_queue").count(), rings);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_made_earlier_and_seen_later_waits_for_the_one_that_runs() {
    let crm = Crm::new().await;
    let client = crm.shop("one").await;
    let customer = crm.member(client).await;
    crm.ask(customer, "add_membership").await;
    let job = crm.claim_one().await;
    let earlier = crm.ask(customer, "cancel_membership").await;
    crm.db.run(&format!("update crm_sync_queue set created_at = now() - interval '1 hour' where id = {earlier}")).await;
    assert!(crm.claim(10).await.is_empty());
    crm.settle(job, done()).await;
    assert_eq!(crm.claim_one().await.key, earlier);
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_somebody_makes_of_a_row_that_runs_nothing_of_its_customer_runs_beside_it() {
    let crm = Crm::new().await;
    let client = crm.shop("one").await;
    for edit in ["status = 'failed'", "action_type = 'cancel_membership'", "status = 'completed'"] {
        let customer = crm.member(client).await;
        let runs = crm.ask(customer, "add_membership").await;
        let job = crm.claim_one().await;
        crm.db.run(&format!("update crm_sync_queue set {edit} where id = {runs}")).await;
        let earlier = crm.ask(customer, "cancel_membership").await;
        crm.db.run(&format!("update crm_sync_queue set created_at = '2026-01-01' where id = {earlier}")).await;
        assert!(crm.claim(10).await.is_empty(), "{edit}");
        assert_eq!(crm.settle(job, done()).await, "superseded");
        for job in crm.claim(10).await {
            crm.settle(job, done()).await;
        }
        crm.db.run("delete from crm_sync_queue").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_that_name_a_customer_by_the_crms_id_only_keep_their_order() {
    let crm = Crm::new().await;
    let client = crm.shop("one").await;
    let known = crm.member(client).await;
    crm.db.run("update customers set crm_customer_id = '77'").await;
    let ask = async |id: &str, action: &str| -> String {
        let row = format!(
            "insert into crm_sync_queue (client_id, customer_crm_id, action_type, stage_id)
             select {client}, '{id}', '{action}', min(id) from club_stages returning id::text"
        );
        crm.db.get(&row).await
    };
    let first = [ask("77", "add_membership").await, ask("88", "add_membership").await];
    let mut next = [ask("77", "cancel_membership").await, ask("88", "cancel_membership").await];
    assert_eq!(
        crm.text("select string_agg(customer_id::text, ' ') from crm_sync_queue").await,
        format!("{known} {known}")
    );
    let jobs = crm.claim(10).await;
    assert_eq!(keys(&jobs), first);
    let ear = crate::database::Ear::on(&crm.db).await;
    for job in jobs {
        crm.settle(job, done()).await;
        assert_eq!(ear.heard().await, ["crm_sync_queue"]);
    }
    let mut followed = keys(&crm.claim(10).await);
    followed.sort();
    next.sort();
    assert_eq!(followed, next);
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_take_turns_whoever_has_the_longest_backlog() {
    let crm = Crm::new().await;
    crm.db.run("update rowcall.queues set part_slots = null where queue = 'crm_sync_queue'").await;
    let (big, middle, small) = (crm.shop("big").await, crm.shop("middle").await, crm.shop("small").await);
    let big = crm.asking(big, 40).await;
    let middle = crm.asking(middle, 4).await;
    let small = crm.asking(small, 1).await;
    let mut of_small = 0;
    let mut claims = Vec::new();
    while of_small == 0 || claims.len() < 3 {
        let claimed = keys(&crm.claim(6).await);
        of_small += claimed.iter().filter(|key| small.contains(key)).count();
        claims.push(claimed);
    }
    assert!(claims[0].contains(&small[0]), "the last in is in the first claim: {claims:?}");
    let of = |claim: &[String], rows: &[String]| claim.iter().filter(|key| rows.contains(key)).count();
    assert_eq!((of(&claims[0], &middle), of(&claims[0], &big)), (2, 3));
    assert_eq!((of(&claims[1], &middle), of(&claims[1], &big)), (2, 4), "who has more takes what is left");
    assert_eq!(of(&claims[2], &big), 6);
    // In a claim of one each, who was served longest ago is first.
    let (left, right) = (crm.shop("left").await, crm.shop("right").await);
    let (left, right) = (crm.asking(left, 3).await, crm.asking(right, 3).await);
    let mut served = Vec::new();
    for _ in 0..6 {
        served.push(keys(&crm.claim(1).await).remove(0));
    }
    let of_all = |rows: &[String]| served.iter().filter(|key| rows.contains(key)).count();
    assert_eq!((of_all(&left), of_all(&right), of_all(&big)), (2, 2, 2), "{served:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_client_has_more_slots_than_its_share() {
    let crm = Crm::new().await;
    let (slow, quick) = (crm.shop("slow").await, crm.shop("quick").await);
    crm.asking(slow, 12).await;
    let quick = crm.asking(quick, 2).await;
    let first = crm.claim(3).await;
    let more = crm.claim(20).await;
    assert_eq!(first.len() + more.len(), 5 + 2, "five of the slow one, and all of the other");
    assert!(crm.claim(20).await.is_empty());
    let due_in = crm.store.next_due(crm.statements).await.unwrap().unwrap();
    assert!(due_in.as_secs_f64() < 0.5, "it looks again soon: {due_in:?}");
    let slow = first.into_iter().chain(more).find(|job| !quick.contains(&job.key)).unwrap();
    crm.settle(slow, done()).await;
    assert_eq!(crm.claim(20).await.len(), 1, "a slot that comes free is the next one's");
}

#[tokio::test(flavor = "multi_thread")]
async fn within_a_client_the_more_urgent_goes_first_and_among_equals_the_older() {
    let crm = Crm::new().await;
    let client = crm.shop("one").await;
    let rows = crm.asking(client, 6).await;
    crm.db
        .run(&format!(
            "update crm_sync_queue set priority = 5 where id = {}; update crm_sync_queue set priority = -1 where id = {};
             update crm_sync_queue set next_retry_at = now() + interval '1 hour', priority = 9 where id = {}",
            rows[4], rows[0], rows[5]
        ))
        .await;
    let mut order = Vec::new();
    for _ in 0..5 {
        let job = crm.claim(1).await.remove(0);
        order.push(job.key.clone());
        crm.settle(job, done()).await;
    }
    let expected = [4, 1, 2, 3, 0].map(|nth: usize| rows[nth].clone());
    assert_eq!(order, expected, "urgency counts among what is due");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeated_claim_gives_the_same_rows_under_the_tokens_that_settle_them() {
    let crm = Crm::new().await;
    let client = crm.tenant("north").await;
    let lost = crm.asking(client, 1).await.remove(0);
    crm.claim_one().await;
    crm.kill_the_worker().await;
    crm.forgive().await;
    let other = crm.shop("one").await;
    let fresh = crm.asking(other, 1).await.remove(0);
    let claim = crm.claim_of(10);
    for nth in 1..=2 {
        let mut jobs = crm.store.claim(crm.statements, claim).await.unwrap();
        jobs.sort_by_key(|job| job.key != lost);
        let found: Vec<_> =
            jobs.iter().map(|job| (job.key.clone(), job.uncertain, job.token == claim.token, job.attempt)).collect();
        assert_eq!(found, [(lost.clone(), true, false, 2), (fresh.clone(), false, true, 1)], "claim {nth}");
        if nth == 2 {
            for job in jobs {
                assert_eq!(crm.settle(job, done()).await, "done");
            }
        }
    }
    let spent = "select turn from rowcall.targets where target = 'commerce7:north'";
    assert_eq!(crm.text(spent).await, "2", "a repeat is no turn");
    assert_eq!(crm.text("select count(*) from rowcall.attempts where settled_as = 'lost'").await, "1");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_claim_that_saw_an_older_turn_takes_nothing() {
    let crm = Arc::new(Crm::new().await);
    let client = crm.shop("one").await;
    crm.asking(client, 1).await;
    // Another claimer counts the turn on, after this one has looked and before it has its rows.
    let other = crm.db.connect().await;
    other.batch_execute("create function wait_for_it() returns boolean language sql as $$ select pg_advisory_xact_lock(7) is not null $$").await.unwrap();
    other.batch_execute("select pg_advisory_lock(7)").await.unwrap();
    let sql = crm.statements.claim.replace(
        "for no key update skip locked\n),\n\ndue",
        "and wait_for_it()\n    for no key update skip locked\n),\n\ndue",
    );
    let sql =
        sql.replace("    order by t.target\n    and wait_for_it()\n", "    and wait_for_it()\n    order by t.target\n");
    assert!(sql.contains("wait_for_it()"));
    let slow = Arc::clone(&crm);
    let worker = crm.worker;
    let claim = tokio::spawn(async move {
        let client = slow.db.connect().await;
        client.query(&sql, &[&10_i64, &worker, &uuid::Uuid::new_v4(), &60.0_f64, &0_i64]).await.unwrap().len()
    });
    let waits = "select count(*) from pg_locks where locktype = 'advisory' and not granted and database = (select oid from pg_database where datname = current_database())";
    while crm.text(waits).await == "0" {
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    crm.db.run("update rowcall.targets set turn = turn + 1 where target = 'shopify:one'").await;
    other.batch_execute("select pg_advisory_unlock(7)").await.unwrap();
    assert_eq!(claim.await.unwrap(), 0);
    assert_eq!(crm.claim(10).await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_paused_queue_hands_nothing_out_though_no_worker_heard_of_it() {
    let crm = Crm::new().await;
    let client = crm.shop("one").await;
    crm.asking(client, 2).await;
    crm.db.run("select rowcall.pause('crm_sync_queue', 'a test')").await;
    assert!(crm.claim(10).await.is_empty());
    crm.db.run("select rowcall.resume('crm_sync_queue')").await;
    assert_eq!(crm.claim(10).await.len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn many_claimers_never_run_two_rows_of_a_customer_at_once() {
    let crm = Arc::new(Crm::new().await);
    for name in ["one", "two", "three"] {
        let client = crm.shop(name).await;
        for _ in 0..5 {
            let customer = crm.member(client).await;
            for action in ["add_membership", "upgrade_membership", "cancel_membership", "add_membership"] {
                crm.ask(customer, action).await;
            }
        }
    }
    let running: Arc<Mutex<HashSet<String>>> = Arc::default();
    let ran: Arc<Mutex<Vec<(String, i64)>>> = Arc::default();
    let mut claimers = tokio::task::JoinSet::new();
    for _ in 0..4 {
        let (crm, running, ran) = (Arc::clone(&crm), Arc::clone(&running), Arc::clone(&ran));
        claimers.spawn(async move {
            while crm.text("select count(*) from crm_sync_queue where status in ('pending', 'processing')").await != "0"
            {
                for job in crm.claim(3).await {
                    let payload: Value = job.payload().unwrap();
                    let who = payload["customer"]["email"].to_string();
                    assert!(running.lock().unwrap().insert(who.clone()), "two at once for a customer");
                    tokio::task::yield_now().await;
                    ran.lock().unwrap().push((who.clone(), job.key.parse().unwrap()));
                    running.lock().unwrap().remove(&who);
                    assert_eq!(crm.settle(job, done()).await, "done");
                }
            }
        });
    }
    claimers.join_all().await;
    let ran = ran.lock().unwrap();
    assert_eq!(ran.len(), 60);
    for (who, _) in ran.iter() {
        let of_one: Vec<i64> = ran.iter().filter(|(other, _)| other == who).map(|(_, key)| *key).collect();
        assert!(of_one.len() == 4 && of_one.is_sorted(), "{who}: {of_one:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_refuses_its_claim_is_passed_over_and_a_dead_worker_gets_none() {
    let crm = Crm::new().await;
    let (one, two) = (crm.shop("one").await, crm.shop("two").await);
    let (mut rows, others) = (crm.asking(one, 2).await, crm.asking(two, 1).await);
    let refusing = rows.remove(0);
    crm.db
        .run(&format!(
            "create function refuse() returns trigger language plpgsql as $$ begin raise exception 'no'; end $$;
             create trigger refuse before update of claim_token on crm_sync_queue for each row when (new.id = {refusing})
             execute function refuse()"
        ))
        .await;
    let claim = crm.claim_of(1);
    assert!(crm.store.claim(crm.statements, claim).await.unwrap_err().is_about_data());
    let past = Claim { skip: 1, ..claim };
    crm.db.run("update rowcall.workers set heartbeat_at = now() - interval '1 minute'").await;
    assert!(crm.store.claim(crm.statements, past).await.unwrap().is_empty());
    crm.db.run("update rowcall.workers set heartbeat_at = now() + interval '1 hour'").await;
    let mut taken = Vec::new();
    for _ in 0..2 {
        taken.extend(keys(&crm.store.claim(crm.statements, Claim { skip: 1, ..crm.claim_of(1) }).await.unwrap()));
    }
    assert_eq!(taken, [others[0].clone(), rows[0].clone()], "both clients go on");
}
