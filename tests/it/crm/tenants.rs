//! Tenants: each has its own access and its own breaker, and none sees another's.

use rowcall::failure::Fault;
use rowcall::integrations::crm::CredentialsFrom;
use rowcall::sandbox::crm::{Seed, ShopSeed, TenantSeed};
use serde_json::{Value, json};

use super::{EMAIL, Which, World, add, assert_fault, job, person};

fn south(which: Which) -> rowcall::job::Job {
    job(which, "add_membership", |payload| {
        payload["tenant"] = json!("south");
        payload["shop"] = json!("south");
    })
}

#[tokio::test]
async fn revoked_credentials_are_one_tenants_trouble() {
    for which in Which::BOTH {
        let world = World::new().await;
        world.fake.set_access("north", false);
        let outcome = world.execute(&add(which)).await;
        assert_fault(&outcome, Fault::Credentials, "revoked");
        assert!(outcome.fault.unwrap().opens_breaker() && !outcome.uncertain);
        assert_eq!(outcome.target, Some(format!("{}:north", which.word())), "its own breaker");
        let result = world.done(&south(which)).await;
        assert_eq!(result["target"], json!(format!("{}:south", which.word())));
        assert_eq!(world.fake.log().len(), 1);
        assert_eq!(world.fake.log()[0]["tenant"], "south");
        world.fake.set_access("north", true);
        let outcome = world.execute(&add(which)).await;
        assert_eq!((outcome.fault, outcome.target), (None, Some(format!("{}:north", which.word()))), "it may close");
    }
}

#[tokio::test]
async fn a_client_has_its_own_way_in() {
    let world = World::with(|settings| settings.credentials = CredentialsFrom::Clients).await;
    let customers = vec![person(EMAIL)];
    world.fake.seed(Seed {
        commerce7: vec![TenantSeed {
            tenant: "west".to_owned(),
            app_id: "west-app".to_owned(),
            key: "west-key".to_owned(),
            clubs: vec!["gold".to_owned()],
            customers: customers.clone(),
        }],
        shopify: vec![ShopSeed { shop: "west".to_owned(), access_token: "west-token".to_owned(), customers }],
    });
    for which in Which::BOTH {
        let west = |credentials: Value| {
            job(which, "add_membership", |payload| {
                payload["tenant"] = json!("west");
                payload["shop"] = json!("WEST.myshopify.com");
                payload["credentials"] = credentials;
            })
        };
        let outcome = world.execute(&west(json!(null))).await;
        assert_fault(&outcome, Fault::Credentials, "the environment's");
        let own = json!({"app_id": "west-app", "key": "west-key", "access_token": "west-token"});
        world.done(&west(own)).await;
        let bad = json!({"app_id": "west-app", "key": "a b\n", "access_token": "a\nb"});
        let outcome = world.execute(&west(bad)).await;
        let fault = if which == Which::Commerce7 { Fault::Credentials } else { Fault::Configuration };
        assert_fault(&outcome, fault, "what no header can carry");
    }
    assert_eq!(world.fake.log().len(), 2);
    // Where the environment's are meant, a client's own are not tried.
    let world = World::new().await;
    for which in Which::BOTH {
        let own = json!({"app_id": "west-app", "key": "west-key", "access_token": "west-token"});
        world.done(&job(which, "add_membership", |payload| payload["credentials"] = own)).await;
    }
}
