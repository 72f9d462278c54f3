//! What must not leave the row: numbers, names, texts and tokens, whatever a provider quotes and whatever is logged.

use std::io::Write;
use std::sync::{Arc, Mutex};

use rowcall::sandbox::whatsapp::{Fault as Script, Kind};
use serde_json::json;
use tracing_subscriber::EnvFilter;

use super::{Infobip, Meta, NAME, PHONE, TEXT, World, agent_of, fit_for_a_row, plain};

#[tokio::test]
async fn what_a_provider_quotes_does_not_reach_the_row() {
    let quotes = [
        format!("No session for {PHONE}"),
        format!("{NAME} is not known"),
        format!("cannot send \"{TEXT}\""),
        TEXT[13..30].to_owned(),
        "token sandbox-access-token or sandbox-api-key is bad".to_owned(),
    ];
    for words in quotes {
        let more = json!({"message": words, "error_data": {"details": words}});
        for code in [100, 190, 131_026, 132_000, 424_242] {
            let world = World::new(Meta).await;
            world.fake.fault(Script::new(Kind::Code { status: 400, code, more: more.clone() }));
            fit_for_a_row(&world.execute(&plain()).await);
        }
        let world = World::new(Infobip).await;
        let exception = json!({"messageId": words, "text": words, "validationErrors": {"to": [words]}});
        let refused = json!({"requestError": {"serviceException": exception}});
        let status = json!({"groupName": "REJECTED", "name": words, "description": words});
        for (status, body) in [(400, refused), (200, json!({"messageId": "m", "status": status})), (500, json!(words))]
        {
            world.fake.fault(Script::new(Kind::Answer { status, body }));
            fit_for_a_row(&world.execute(&plain()).await);
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
    let mut world = World::new(Meta).await;
    world.settings.agent = Some(agent_of(&world.fake.address()));
    world.whatsapp = rowcall::integrations::whatsapp::WhatsApp::new(world.settings.clone());
    world.execute(&plain()).await;
    let body = json!({"error": TEXT, "to": PHONE});
    world.fake.fault(Script { at: Some("agent".to_owned()), ..Script::new(Kind::Answer { status: 200, body }) });
    world.fake.fault(Script::new(Kind::AcceptThenClose));
    world.execute(&plain()).await;
    world.fake.fault(Script::code(400, 100));
    world.execute(&plain()).await;
    let text = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    assert!(text.contains("The template is sent"), "the log is heard: {text}");
    for private in ["6505551234", "Serwaa", "refund", "sandbox-access-token", "agent-key-4711"] {
        assert!(!text.contains(private), "{private} in {text}");
    }
    assert!(!format!("{:?} {:?}", world.whatsapp, world.settings).contains("sandbox-access-token"));
}
