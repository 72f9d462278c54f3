//! Which integration runs which queue: the one place where the two meet.

use std::sync::Arc;

use crate::config::Config;
use crate::integrations::Integration;
use crate::integrations::fienta::Fienta;
use crate::integrations::whatsapp::WhatsApp;
use crate::store::queues;
use crate::worker::Service;

/// The queues that a worker of these settings serves, each with what runs its operations.
pub(super) fn services(config: &Config) -> Vec<Service> {
    let integration = |queue: &str| -> Option<Arc<dyn Integration>> {
        match queue {
            "codes" => Some(Arc::new(Fienta::new(config.fienta.clone()))),
            "actions" => Some(Arc::new(WhatsApp::new(config.whatsapp.clone()))),
            // Nothing in this build runs it: its rows wait, and `doctor` says so.
            _ => None,
        }
    };
    let served = queues::ALL.into_iter().filter(|s| config.queues.contains(&s.queue));
    served.filter_map(|statements| Some(Service { statements, integration: integration(statements.queue)? })).collect()
}
