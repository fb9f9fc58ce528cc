//! Employees, environments, tokens and the audit trail.

use reqwest::StatusCode;
use toggle_meister::{
    model::employee::{self, Employee},
    role::Role,
};

use crate::{Client, client, escaped, form, html, support::Server};

#[tokio::test]
async fn the_role_of_somebody_who_may_do_less_can_be_changed() {
    let server = Server::start().await;
    let anna = server.sign_in("anna", Role::Dev).await;
    for (username, role) in [("<b>bert", Role::ReadOnly), ("carl", Role::Admin)] {
        let employee = Employee {
            username: username.to_owned(),
            name: username.to_owned(),
            email: String::new(),
            role,
            person: None,
        };
        let insert = server.store().write(move |sql| Ok(employee::insert(sql, &employee)?));
        insert.await.unwrap();
    }
    let read = async |path: &str| {
        let get = client().get(format!("{}{path}", server.url)).header("cookie", &anna);
        html(get.send().await.unwrap()).await
    };
    let list = read("/ui/employees").await;
    assert!(list.contains(&escaped("<b>bert")) && !list.contains("<b>bert"), "{list}");
    assert!(list.contains("edit-anna") && !list.contains("edit-carl"), "{list}");
    let open = read("/ui/employees?edit=%3Cb%3Ebert").await;
    assert!(open.contains("value=\"dev\"") && !open.contains("value=\"qa\""), "{open}");
    let send = async |username: &str, fields: &[(&str, &str)]| {
        let url = format!("{}/ui/employees/{username}", server.url);
        let request = form(&client(), &url, fields).header("cookie", &anna);
        request.header("sec-fetch-site", "same-origin").send().await.unwrap()
    };
    let saved = send("%3Cb%3Ebert", &[("role", "dev")]).await;
    assert_eq!(saved.status(), StatusCode::SEE_OTHER);
    let role = server.store().read(|sql| Ok(employee::get(sql, "<b>bert")?)).await.unwrap();
    assert_eq!(role.unwrap().role, Role::Dev);
    for (username, role) in [("carl", "dev"), ("%3Cb%3Ebert", "read_only"), ("anna", "admin")] {
        let rejected = send(username, &[("role", role)]).await;
        assert_eq!(rejected.status(), StatusCode::FORBIDDEN, "{username}");
        assert!(html(rejected).await.contains("Cannot modify someone of greater permissions"));
    }
    let other = send("carl", &[("name", "Carla")]).await;
    assert_eq!(other.status(), StatusCode::FORBIDDEN);
    assert_eq!(send("anna", &[("name", "Anna A")]).await.status(), StatusCode::SEE_OTHER);
    assert!(read("/ui/employees").await.contains("Anna A"));
    let unknown = send("anna", &[("role", "root")]).await;
    assert_eq!(unknown.status(), StatusCode::UNPROCESSABLE_ENTITY);
    // A role that is taken away counts at once.
    let dev = read("/ui/notes/new").await;
    assert!(dev.contains("Save note"), "{dev}");
    server.set_role("anna", Role::ReadOnly).await;
    assert!(read("/ui/notes/new").await.contains("not authorized"));
}

#[tokio::test]
async fn a_form_changes_only_what_somebody_wrote_into_it() {
    let server = Server::start().await;
    server.sign_in("anna", Role::Dev).await;
    let admin = Client::new(&server, Role::Admin).await;
    let read = async || server.store().read(|sql| Ok(employee::get(sql, "anna")?)).await.unwrap();
    let open = admin.page("/ui/employees?edit=anna").await;
    let began = [
        ("old_name", "anna"),
        ("old_email", "anna@acme.example"),
        ("old_role", "dev"),
        ("role", "dev"),
    ];
    for (name, value) in &began[..3] {
        assert!(open.contains(&format!("name=\"{name}\" value=\"{value}\"")), "{open}");
    }
    // Meanwhile, somebody else changes the role.
    server.set_role("anna", Role::ReadOnly).await;
    let path = "/ui/employees/anna";
    let mine = [&began[..], &[("name", "Anna"), ("email", "anna@acme.example")]].concat();
    admin.done(path, &mine).await;
    let stored = read().await.unwrap();
    assert_eq!((stored.name.as_str(), stored.role), ("Anna", Role::ReadOnly));

    // What is cleared is not dropped in silence, and the form still knows what it began with.
    let no_email = [&began[..], &[("name", "Anna B"), ("email", " ")]].concat();
    let error = admin.rejected(path, &no_email, "email").await;
    assert_eq!(error, "An e-mail address can be replaced, but not removed.");
    let no_name = [&began[..], &[("name", ""), ("email", "anna@acme.example")]].concat();
    assert_eq!(admin.rejected(path, &no_name, "name").await, "An employee needs a name.");
    let again = html(admin.post(path, &no_name).await).await;
    assert!(again.contains("name=\"old_role\" value=\"dev\""), "{again}");
    assert_eq!(read().await.unwrap(), stored);
}

#[tokio::test]
async fn environments_come_and_go_but_production_stays() {
    let server = Server::start().await;
    let admin = Client::new(&server, Role::Admin).await;
    let path = "/ui/environments";
    assert!(admin.page(path).await.contains("Create one below"));
    admin.done(path, &[("name", "Stage")]).await;
    assert!(admin.page(path).await.contains("Delete stage"));
    let error = admin.rejected(path, &[("name", "stage")], "name").await;
    assert_eq!(error, "The environment name &#39;stage&#39; already exists.");
    let error = admin.rejected(path, &[("name", "my stage")], "name").await;
    assert_eq!(error, "Not a valid name.");
    admin.done("/ui/environments/stage/delete", &[]).await;
    assert!(!admin.page(path).await.contains("Delete stage"));
    let production = admin.post("/ui/environments/production/delete", &[]).await;
    assert_eq!(production.status(), StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn a_token_is_shown_once_and_can_be_revoked() {
    let server = Server::start().await;
    let admin = Client::new(&server, Role::Admin).await;
    let fields = [("name", "<i>pipeline"), ("role", "dev")];
    let made = html(admin.post("/ui/tokens", &fields).await).await;
    let token = made.split("<code id=\"made\">").nth(1).unwrap().split('<').next().unwrap();
    let page = admin.page("/ui/tokens").await;
    assert!(!page.contains(token) && page.contains("&#60;i&#62;pipeline"), "{page}");
    let pipeline = Client { token: token.to_owned(), ..Client::new(&server, Role::Admin).await };
    pipeline.done("/ui", &[("name", "f")]).await;
    let audit = admin.page("/ui/audit?action=feature.add").await;
    assert!(audit.contains("token:&#60;i&#62;pipeline"), "{audit}");
    let id = page.split("/ui/tokens/").skip(1).map(|it| it.split('/').next().unwrap());
    let id = id.filter(|it| it.parse::<i64>().is_ok()).max().unwrap();
    admin.done(&format!("/ui/tokens/{id}/revoke"), &[]).await;
    let error = admin.rejected("/ui/tokens", &[("name", " "), ("role", "dev")], "name").await;
    assert_eq!(error, "A token needs a name.");
    let error = admin.rejected("/ui/tokens", &[("name", "n"), ("role", "root")], "role").await;
    assert!(error.contains("admin, qa, dev"), "{error}");
}

#[tokio::test]
async fn the_audit_trail_has_pages_and_filters() {
    let server = Server::start().await;
    let write = server.store().write(|sql| {
        for number in 0..101 {
            service::audit::record(sql, "anna", "feature.add", &format!("f{number}"))?;
        }
        Ok(())
    });
    write.await.unwrap();
    let reader = Client::new(&server, Role::ReadOnly).await;
    let first = reader.page("/ui/audit?actor=anna").await;
    assert_eq!(first.matches("<tr><td").count(), 100);
    let next = first.split("href=\"/ui/audit?").skip(1).find(|it| it.contains("before=")).unwrap();
    let next = next.split('"').next().unwrap().replace("&#38;", "&");
    let second = reader.page(&format!("/ui/audit?{next}")).await;
    assert_eq!(second.matches("<tr><td").count(), 1, "{next}");
    assert!(reader.page("/ui/audit?subject=f7").await.contains(">f7<"));
    assert!(reader.page("/ui/audit?actor=nobody").await.contains("No events match the filter"));
    let invalid = reader.get("/ui/audit?since=tomorrow").await;
    assert_eq!(invalid.status(), StatusCode::UNPROCESSABLE_ENTITY);
    assert!(html(invalid).await.contains("Expected a date and a time before"));
}
