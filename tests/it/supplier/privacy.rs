//! What must not leave the row: numbers, keys and secrets, whatever a supplier quotes and whatever is logged.

use std::io::Write;
use std::sync::{Arc, Mutex};

use rowcall::sandbox::supplier::{Fault as Script, Kind};
use serde_json::json;
use tracing_subscriber::EnvFilter;

use super::{NUMBER, ORDER, World, fit_for_a_row, look_up, names, purchase};

#[tokio::test]
async fn what_a_supplier_quotes_does_not_reach_the_row() {
    for name in names() {
        let world = World::new(name).await;
        for words in [
            format!("No wallet for {NUMBER}"),
            "Invalid number 0261234567".to_owned(),
            "duplicate key sandbox-supplier-key".to_owned(),
            "signed with sandbox-supplier-secret, or sandbox-supplier-key".to_owned(),
        ] {
            let body = json!({
                "status": words, "success": false, "message": words, "error": words, "reason": words, "code": words,
                "phone": 233_261_234_567_u64, "order_id": words, "transaction_id": words, "reference_id": words, &words: 1,
            });
            for status in [200, 400, 401, 409, 500] {
                world.fake.fault(Script::new(Kind::Answer { status, body: body.clone() }));
                let outcome = world.execute(&purchase()).await;
                if outcome.error.is_some() {
                    fit_for_a_row(&outcome);
                }
            }
        }
    }
}

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn nothing_private_is_logged_at_any_level() {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::new("rowcall=trace"))
        .with_writer(move || writer.clone())
        .finish();
    // For this thread, on which the whole test runs.
    let _guard = tracing::subscriber::set_default(subscriber);
    for name in names() {
        let world = World::with(name, |settings| {
            settings.callback_url = Some("https://app.example.com/webhooks/supplier".to_owned().try_into().unwrap());
        })
        .await;
        let accepted = world.execute(&purchase()).await;
        world.execute(&look_up(&accepted, 60)).await;
        world.fake.fault(Script::new(Kind::AcceptThenClose));
        world.execute(&purchase()).await;
        let shown = format!("{:?} {:?}", world.supplier, world.settings);
        assert!(!shown.contains("sandbox-supplier"), "{shown}");
    }
    let text = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    assert!(text.contains("[AT-ISHARE]") && text.contains(ORDER), "the log is heard: {text}");
    for private in ["261234567", "sandbox-supplier-key", "sandbox-supplier-secret", "token="] {
        assert!(!text.contains(private), "{private} in {text}");
    }
}
