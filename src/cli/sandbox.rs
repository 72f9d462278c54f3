//! `rowcall sandbox`: what the demo and the tests use in place of the real world.

use clap::Subcommand;

use crate::sandbox::crm::CrmArgs;
use crate::sandbox::fienta::FientaArgs;
use crate::sandbox::fluent::FluentArgs;
use crate::sandbox::postgres::PostgresArgs;
use crate::sandbox::supplier::SupplierArgs;
use crate::sandbox::webhook::WebhookArgs;
use crate::sandbox::whatsapp::WhatsAppArgs;

/// Which part of the world.
#[derive(Debug, Subcommand)]
pub enum SandboxCommand {
    /// A private Postgres, for as long as a command runs
    Postgres(PostgresArgs),
    /// The CLI that drives Fienta's site, with faults on request
    Fienta(FientaArgs),
    /// The servers of WhatsApp's two providers and of an agent, with faults on request
    #[command(name = "whatsapp")]
    WhatsApp(WhatsAppArgs),
    /// The APIs of Commerce7 and Shopify for any number of tenants and shops, with faults on request
    Crm(CrmArgs),
    /// The servers of suppliers of data bundles, with a wallet, a book and faults on request
    Supplier(SupplierArgs),
    /// A WordPress site with FluentSupport and thousands of tickets, with faults and edits on request
    Fluent(FluentArgs),
    /// A receiver of signed webhooks, with faults on request
    Webhook(WebhookArgs),
}
