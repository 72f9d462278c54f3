//! Which integration runs which queue: the one place where the two meet.

use std::sync::Arc;

use crate::config::Config;
use crate::integrations::Integration;
use crate::integrations::crm::Crm;
use crate::integrations::fienta::{Checks, Fienta, Orders};
use crate::integrations::fluent::Fluent;
use crate::integrations::organization::Organizations;
use crate::integrations::shortlink::ShortLinks;
use crate::integrations::supplier::Supplier;
use crate::integrations::whatsapp::WhatsApp;
use crate::store::queues;
use crate::worker::Service;

/// The queues that a worker of these settings serves, each with what runs its operations.
pub(super) fn services(config: &Config) -> Vec<Service> {
    // Both queues call the same accounts, at one pace.
    let crm: Arc<dyn Integration> = Arc::new(Crm::new(config.crm.clone()));
    let integration = |queue: &str| -> Arc<dyn Integration> {
        match queue {
            "codes" => Arc::new(Fienta::new(config.fienta.clone())),
            "actions" => Arc::new(WhatsApp::new(config.whatsapp.clone())),
            "crm_sync_queue" | "crm_orders" => Arc::clone(&crm),
            "fulfillment_logs" => Arc::new(Supplier::new(config.supplier.clone())),
            "fluent_sync_status" => Arc::new(Fluent::new(config.fluent.clone())),
            "orders" => Arc::new(Orders::new(config.fienta.clone())),
            "fienta_checks" => Arc::new(Checks::new(config.fienta.clone())),
            "links" => Arc::new(ShortLinks::new(config.links.clone())),
            "organizations" => Arc::new(Organizations::new(config.organizations.clone())),
            other => unreachable!("config knows no queue {other}"),
        }
    };
    let served = queues::ALL.into_iter().filter(|s| config.queues.contains(&s.queue));
    served.map(|statements| Service { statements, integration: integration(statements.queue) }).collect()
}
