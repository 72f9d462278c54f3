//! Privacy: with everything logged, nothing secret and nothing personal is.

use nix::sys::signal::Signal;

use crate::binary::Binary;
use crate::database::TestDatabase;
use crate::fake::{EMAIL, Fake, PASSWORD};

#[tokio::test(flavor = "multi_thread")]
async fn what_somebodys_trigger_says_of_a_row_is_not_logged_whatever_its_code() {
    let db = TestDatabase::new().await;
    db.run(
        "create function says() returns trigger language plpgsql as
             $$ begin raise exception 'no pause for Ada Lovelace' using errcode = '55000'; end $$;
         create trigger says before update on rowcall.queues for each row execute function says()",
    )
    .await;
    let error = db.store().pause("codes", "For Ada Lovelace").await.unwrap_err();
    assert!(crate::database::chain(&error).contains("no pause for Ada Lovelace"), "{error:?}");
    let logged = error.chain();
    assert!(logged.starts_with("pause a queue: ") && logged.contains("SQLSTATE 55000"), "{logged}");
    assert!(!logged.contains("Ada"), "{logged}");
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_secret_or_personal_is_logged() {
    let (db, fake) = (TestDatabase::new().await, Fake::new());
    db.fast().await;
    let mut worker = Binary::start_with(
        &db,
        &fake,
        &[("RUST_LOG", "trace"), ("ROWCALL_LOG_FORMAT", "json"), ("ROWCALL_SHUTDOWN_GRACE", "15")],
    )
    .await;
    let personal = [
        ("+372 5123 4567", "a phone number"),
        ("3725123-4567", "digits that could be one"),
        ("ada.lovelace@example.org", "an address"),
        ("For Ada Lovelace and guest", "a name"),
    ];
    // It works; it fails with words that quote; it is refused for what stands in it; and the login is refused.
    fake.fault(&["fail", "--code", "CODE-2"]);
    for (number, (value, _)) in personal.iter().enumerate() {
        for status in ["creating", "updating", "deleting"] {
            db.run(&format!(
                "insert into codes (code, status, metadata) values ('CODE-{number}-{status}', '{status}',
                 '{{\"description\": \"{value}\", \"new_description\": \"{value}\", \"contact\": \"{value}\"}}')"
            ))
            .await;
        }
        db.run(&format!("insert into codes (code, status) values ('{value}', 'deleting')")).await;
        db.run(&format!(
            "insert into codes (code, status, metadata) values ('X{number}', 'creating', '{{\"max_uses\": \"{value}\"}}')"
        ))
        .await;
    }
    db.run("set request.jwt.claims = '{\"sub\": \"7f3a-subject\", \"email\": \"ada.lovelace@example.org\"}'").await;
    db.run("alter table codes add constraint secret check (code <> 'CONSTRAINT' or status <> 'active')").await;
    db.run("insert into codes (code, status, metadata) values ('CONSTRAINT', 'creating', '{\"description\": \"For Ada Lovelace and guest\"}')").await;
    db.all_ended().await;
    fake.fault(&["bad-login"]);
    db.ask_more("LOGIN").await;
    db.eventually("the breaker is open", "(select state = 'open' from rowcall.targets where target = 'fienta')").await;
    worker.signal(Signal::SIGTERM);
    worker.ended().await;

    let log = worker.log();
    assert!(log.lines().count() > 20 && log.contains("\"level\":\"DEBUG\""), "everything is logged:\n{log}");
    for line in log.lines() {
        assert!(serde_json::from_str::<serde_json::Value>(line).is_ok(), "no line of JSON: {line}");
    }
    let address = db.address();
    let database_password = url::Url::parse(&address).unwrap().password().unwrap_or("no password").to_owned();
    let mut secrets =
        vec![(PASSWORD, "the password"), (EMAIL, "the login"), (database_password.as_str(), "the database's password")];
    secrets.extend(personal);
    for (secret, what) in secrets {
        let line = log.lines().find(|line| line.contains(secret));
        assert_eq!(line, None, "{what} is logged");
    }
}
