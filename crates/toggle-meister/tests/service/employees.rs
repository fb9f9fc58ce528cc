//! `/api/employees`: who may change what of whom.

use serde_json::{Value, json};
use toggle_meister::{
    model::employee::{self, Employee},
    role::Role,
};

use crate::support::{Answer, Service, send, services};

const GREATER: &str = "Cannot modify someone of greater permissions than yourself";

/// Adds an employee who has not signed in.
pub(crate) async fn employee(service: &Service, username: &str, role: Role) {
    let employee = Employee {
        username: username.to_owned(),
        name: "A Name".to_owned(),
        email: format!("{username}@corp.example"),
        role,
        person: None,
    };
    service.change(move |sql| employee::insert(sql, &employee)).await;
}

async fn edit(service: &Service, token: &str, username: &str, body: Value) -> Answer {
    let request = service.open(reqwest::Method::PATCH, &format!("/api/employees/{username}"));
    send(request.bearer_auth(token).json(&body)).await
}

#[tokio::test]
async fn employees_are_listed() {
    for service in services().await {
        service.get("/api/employees").await.is(200, json!({ "employees": [] }));
        employee(&service, "jane", Role::ReadOnly).await;
        let jane = json!({ "username": "jane", "name": "A Name", "email": "jane@corp.example",
                           "role": "read_only" });
        service.get("/api/employees").await.is(200, json!({ "employees": [jane] }));
    }
}

#[tokio::test]
async fn a_role_is_given_by_those_who_have_it_to_those_who_have_less() {
    for service in services().await {
        for caller in Role::ALL {
            let token = service.token(caller.name()).await;
            for target in Role::ALL {
                for wanted in Role::ALL {
                    let (caller, target, wanted) = (caller.name(), target.name(), wanted.name());
                    let username = format!("{caller}-{target}-{wanted}");
                    let role = Role::parse(target).unwrap();
                    employee(&service, &username, role).await;
                    let answer = edit(&service, &token, &username, json!({ "role": wanted })).await;
                    let number = |role: &str| Role::parse(role).unwrap().number();
                    // The greater a number, the less its role may do.
                    let allowed =
                        number(target) > number(caller) && number(wanted) >= number(caller);
                    if allowed {
                        answer.is(
                            200,
                            json!({ "username": username, "name": "A Name",
                                    "email": format!("{username}@corp.example"),
                                    "role": number(wanted) }),
                        );
                    } else {
                        answer.says(403, GREATER);
                    }
                }
            }
        }
    }
}

#[tokio::test]
async fn names_and_addresses_are_edited_by_oneself_and_by_administrators() {
    for service in services().await {
        employee(&service, "jane", Role::Qa).await;
        for role in ["qa", "dev", "read_only"] {
            let token = service.token(role).await;
            for body in [json!({ "name": "X" }), json!({ "email": "x@corp.example" })] {
                let answer = edit(&service, &token, "jane", body).await;
                answer.says(403, "Cannot edit other users");
            }
        }
        let edited = edit(
            &service,
            &service.admin,
            "jane",
            json!({ "name": " Jane ", "email": "J@c.example" }),
        );
        edited.await.is(
            200,
            json!({ "username": "jane", "name": "Jane", "email": "j@c.example", "role": 2 }),
        );
        let data =
            json!({ "username": "jane", "name": "Jane", "email": "j@c.example", "role": "qa" });
        assert_eq!(
            service.audited(1).await,
            [json!({ "event": "employee.edit", "user": "token:admin", "event_data": data })]
        );
    }
}

#[tokio::test]
async fn what_cannot_be_edited_says_so() {
    for service in services().await {
        employee(&service, "jane", Role::Dev).await;
        for username in ["jane", "other"] {
            let body = json!({ "username": username, "role": "qa" });
            service.patch("/api/employees/jane", body).await.says(400, "Cannot edit username");
        }
        let long = "x".repeat(5_000);
        for body in [
            json!({ "role": "root" }),
            json!({ "role": 1 }),
            json!({ "role": "" }),
            json!({}),
            json!({ "name": " ", "email": null, "role": null }),
            json!({ "name": 5, "role": "qa" }),
            json!({ "email": {} }),
            json!({ "name": "\0" }),
            json!({ "name": long }),
            json!({ "email": long }),
        ] {
            let answer = service.patch("/api/employees/jane", body).await;
            answer.is_problem(400, "invalid_request");
        }
        for username in ["nobody", "Jane", "%22"] {
            let path = format!("/api/employees/{username}");
            let answer = service.patch(&path, json!({ "role": "qa" })).await;
            answer.is_problem(404, "employee_not_found");
        }
        let nul = service.patch("/api/employees/%00", json!({ "role": "qa" })).await;
        nul.is_problem(400, "invalid_request");
    }
}
