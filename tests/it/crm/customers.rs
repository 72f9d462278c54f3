//! The right customer, and never the neighbour whom the search finds too.

use std::time::Duration;

use rowcall::failure::Fault;
use rowcall::sandbox::crm::{Fault as Script, Kind, Person, Seed, ShopSeed, TenantSeed};
use serde_json::{Value, json};

use super::{Commerce7, EMAIL, Shopify, Which, World, add, assert_fault, cancel, job, person};

fn seed(world: &World, customers: Vec<Person>) {
    let commerce7 =
        vec![TenantSeed { tenant: "north".to_owned(), customers: customers.clone(), ..TenantSeed::default() }];
    let shopify = vec![ShopSeed { shop: "north".to_owned(), customers, ..ShopSeed::default() }];
    world.fake.seed(Seed { commerce7, shopify });
}

fn of(which: Which, operation: &str, email: &str) -> rowcall::job::Job {
    job(which, operation, |payload| payload["customer"]["email"] = json!(email))
}

#[tokio::test]
async fn a_neighbour_whom_the_search_finds_is_never_touched() {
    let neighbours = [
        "xama.serwaa@example.com",
        "ama.serwaa@example.com.gh",
        "ama.serwaa@example.org",
        "ama.serwaa+club@example.com",
    ];
    for which in Which::BOTH {
        let world = World::new().await;
        // Before and after the right one in the list.
        seed(&world, neighbours.map(person).to_vec());
        world.done(&add(which)).await;
        for neighbour in neighbours {
            assert!(!world.member_of(which, neighbour).contains(&"gold".to_owned()), "{which:?} {neighbour}");
        }
        assert!(world.member_of(which, EMAIL).contains(&"gold".to_owned()));
        world.done(&of(which, "add_membership", neighbours[2])).await;
        world.done(&cancel(which)).await;
        assert!(world.member_of(which, neighbours[2]).contains(&"gold".to_owned()), "{which:?}");
    }
    for which in Which::BOTH {
        let world = World::new().await;
        let nobody = "serwaa@example.com";
        let outcome = world.execute(&of(which, "cancel_membership", nobody)).await;
        assert_fault(&outcome, Fault::Item, "only neighbours");
        assert_eq!(world.fake.log(), Vec::<Value>::new());
    }
}

#[tokio::test]
async fn an_address_is_the_same_in_any_case_and_with_any_sign() {
    for which in Which::BOTH {
        let world = World::new().await;
        for email in ["O'Brien@Example.com", r"back\slash@example.com", "a+b&c=d%40@example.com", "ümlaut@example.com"]
        {
            seed(&world, vec![person(email)]);
            world.done(&of(which, "add_membership", &format!(" {} ", email.to_lowercase()))).await;
            assert!(world.member_of(which, email).contains(&"gold".to_owned()), "{which:?} {email}");
        }
        assert_eq!(world.effects("customer-created"), Vec::<Value>::new());
    }
}

#[tokio::test]
async fn one_of_many_is_found_and_of_several_the_same_none_is_taken() {
    let many = |count: usize| (0..count).map(|nth| person(&format!("n{nth}-{EMAIL}"))).collect::<Vec<_>>();
    let world = World::new().await;
    // The right one is on the last of three pages.
    let mut customers = many(120);
    customers.push(person("last.serwaa@example.com"));
    let neighbours = (0..120).map(|nth| person(&format!("n{nth}-last.serwaa@example.com")));
    seed(&world, neighbours.chain([person("last.serwaa@example.com")]).collect());
    world.done(&of(Commerce7, "add_membership", "last.serwaa@example.com")).await;
    assert_eq!(world.member_of(Commerce7, "last.serwaa@example.com"), ["gold"]);

    let world = World::new().await;
    seed(&world, many(260));
    let outcome = world.execute(&add(Commerce7)).await;
    assert_fault(&outcome, Fault::Item, "too many to look through");

    for which in Which::BOTH {
        let world = World::new().await;
        seed(&world, vec![person(&EMAIL.to_uppercase())]);
        let outcome = world.execute(&add(which)).await;
        assert_fault(&outcome, Fault::Item, "two of them");
        assert!(outcome.error.unwrap().contains("several customers"));
        assert_eq!(world.fake.log(), Vec::<Value>::new());
    }
}

#[tokio::test]
async fn a_known_id_needs_no_search() {
    for which in Which::BOTH {
        let world = World::new().await;
        let id = world.done(&add(which)).await["crm_customer_id"].clone();
        let searches = |world: &World| {
            world.calls().iter().filter(|call| ["GET /customer", "customers"].contains(&call.as_str())).count()
        };
        let before = searches(&world);
        let known = |p: &mut Value| p["customer"] = json!({"email": null, "crm_customer_id": id});
        let result = world.done(&job(which, "cancel_membership", known)).await;
        assert_eq!((searches(&world), &result["crm_customer_id"]), (before, &id));
        assert!(!world.member_of(which, EMAIL).contains(&"gold".to_owned()));
    }
    let world = World::new().await;
    let gone = |p: &mut Value| p["customer"]["crm_customer_id"] = json!("1");
    for which in Which::BOTH {
        assert_fault(&world.execute(&job(which, "add_membership", gone)).await, Fault::Item, "nobody has this id");
    }
    assert_eq!(world.fake.log(), Vec::<Value>::new());
}

#[tokio::test]
async fn commerce7_gets_a_customer_whom_it_does_not_have_once() {
    let email = "kofi@example.com";
    for kind in [Kind::Slow(1), Kind::AcceptThenClose, Kind::AcceptThenHang] {
        let world = World::new().await;
        world.fake.fault(Script::new(kind.clone()).at("POST /customer"));
        let job = of(Commerce7, "add_membership", email);
        let outcome = world.execute_within(&job, Duration::from_secs(3)).await;
        // A customer without a card cannot be a member: that is for a person.
        assert_fault(&outcome, Fault::Item, &format!("{kind:?}"));
        let error = outcome.error.unwrap();
        assert!(error.contains("orderDeliveryMethod: is required"), "{error}");
        assert_fault(&world.execute(&job).await, Fault::Item, "again");
        let made = world.effects("customer-created");
        assert_eq!((made.len(), &made[0]["email"]), (1, &json!(email)), "{kind:?}");
        assert_eq!(outcome.result.unwrap()["crm_customer_id"], made[0]["customer_id"]);
    }
    let world = World::new().await;
    assert_fault(&world.execute(&of(Shopify, "add_membership", email)).await, Fault::Item, "Shopify makes nobody");
    // It was made in between, and is not shown yet.
    let unique = json!({"statusCode": 422, "type": "validationError", "message": "Database unique constraint error"});
    world.fake.fault(Script::new(Kind::Answer { status: 422, body: unique }).at("POST /customer"));
    let outcome = world.execute(&of(Commerce7, "add_membership", email)).await;
    assert_fault(&outcome, Fault::Transient, "has it already");
}

#[tokio::test]
async fn who_picks_up_needs_no_address_and_no_card() {
    let world = World::new().await;
    let email = "walk.in@example.com";
    seed(&world, vec![Person { is_bare: true, ..person(email) }]);
    assert_fault(&world.execute(&of(Commerce7, "add_membership", email)).await, Fault::Item, "nothing on file");
    let pickup = |p: &mut Value| {
        p["customer"]["email"] = json!(email);
        p["club"]["pickup_inventory_location_id"] = json!("tasting-room");
    };
    world.done(&job(Commerce7, "add_membership", pickup)).await;
    assert_eq!(world.member_of(Commerce7, email), ["gold"]);
}

#[tokio::test]
async fn a_membership_that_is_to_end_is_kept_and_one_on_hold_is_for_a_person() {
    let world = World::new().await;
    let id = world.done(&add(Commerce7)).await["crm_membership_id"].clone();
    let url = format!("{}/v1/club-membership/{}", world.fake.address(), id.as_str().unwrap());
    let ends = json!({"cancelDate": "2100-01-01T00:00:00.000Z", "cancellationReason": "Other"});
    let request = reqwest::Client::new().put(url).basic_auth("sandbox-app", Some("sandbox-key"));
    let told = request.header("tenant", "north").header("content-type", "application/json").body(ends.to_string());
    assert_eq!(told.send().await.unwrap().status(), 200);
    for is_changed in [true, false] {
        let result = world.done(&add(Commerce7)).await;
        assert_eq!((&result["crm_membership_id"], &result["changed"]), (&id, &json!(is_changed)));
        assert_eq!(world.effects("membership-kept").len(), 1);
    }
    assert_eq!(world.effects("membership-created").len(), 1);

    let customer = world.fake.log()[0]["customer_id"].clone();
    let held = json!({"id": id, "customerId": customer, "clubId": "gold", "status": "On Hold", "cancelDate": null});
    let list = json!({"clubMemberships": [held], "total": 1});
    world.fake.fault(Script::new(Kind::Answer { status: 200, body: list }).at("GET /club-membership"));
    let outcome = world.execute(&add(Commerce7)).await;
    assert_fault(&outcome, Fault::Item, "on hold");
    assert!(outcome.error.unwrap().contains("on hold"));
    assert_eq!(world.effects("membership-created").len(), 1);
}
