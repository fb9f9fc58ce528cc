//! People, permissions and sessions, on each database.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::time::Duration;

use axum::{
    Router,
    body::Body,
    http::{HeaderMap, HeaderValue, Method, Request, StatusCode, header},
    routing::get,
};
use secrecy::{ExposeSecret as _, SecretString};
use service::{
    access::{
        Access, Added, NewToken, Principal, Profile, SessionOptions, Sessions, SessionsError,
    },
    problem::Problem,
    storage::{Storage, StorageError},
};
use tower::ServiceExt as _;

use self::support::{
    KEY, ORIGIN, PERMISSIONS, SERVICE, access, access_with, audited, browser, databases, machine,
    new_session, person, profile, root, session_options, sign_in, sqlite,
};

fn list(permissions: &[&str]) -> Vec<String> {
    permissions.iter().map(|&it| it.to_owned()).collect()
}

fn status<T>(result: Result<T, Problem>) -> StatusCode {
    result.err().map_or(StatusCode::OK, |it| it.status())
}

async fn token(access: &Access, permissions: &[&str]) -> SecretString {
    let new = NewToken {
        name: "test".to_owned(),
        permissions: list(permissions),
        prefixes: None,
        expires: None,
    };
    access.create_token(new, "test").await.unwrap().1
}

async fn last_version(storage: &Storage) -> i64 {
    let version: Result<i64, StorageError> = storage.read(|sql| sql.last("access")).await;
    version.unwrap()
}

#[tokio::test]
async fn d1_each_subject_is_a_person_of_their_own() {
    let (databases, _folder) = databases();
    for database in databases {
        let storage = Storage::open(database, SERVICE).await.unwrap();
        let access = access(&storage);
        let other_issuer =
            Profile { issuer: "https://ghe.example/".into(), ..profile("1", "anna") };
        let other_provider = Profile { provider: "oidc".into(), ..profile("1", "anna") };
        let mut ids = Vec::new();
        for profile in [profile("1", "anna"), profile("2", "bert"), other_issuer, other_provider] {
            let headers = sign_in(&access, profile).await;
            ids.push(access.principal(&headers).await.unwrap().person().unwrap());
        }
        assert_eq!(ids, [1, 2, 3, 4]);
        // A new login and address, and the same person, at a later time.
        let created = service::time::now();
        while service::time::now() == created {
            tokio::task::yield_now().await;
        }
        let headers = sign_in(&access, profile("1", "anna-maria")).await;
        let principal = access.principal(&headers).await.unwrap();
        assert_eq!((principal.person(), principal.name()), (Some(1), "person:anna-maria"));
        let stored = access.person(1).await.unwrap();
        assert_eq!(stored.email, "anna-maria@example.com");
        assert_eq!(stored.permissions, list(&[]));
        assert!(stored.updated > stored.created);
    }
}

#[tokio::test]
async fn a_login_belongs_to_who_signed_in_with_it_last() {
    let (storage, _folder) = sqlite().await;
    let access = access(&storage);
    sign_in(&access, profile("1", "anna")).await;
    sign_in(&access, profile("2", "Anna")).await;
    let people = access.people(0, 10).await.unwrap();
    let logins: Vec<_> = people.iter().map(|it| it.login.as_str()).collect();
    assert_eq!(logins, ["1", "Anna"]);
}

#[tokio::test]
async fn two_first_sign_ins_at_once_are_one_person() {
    let (databases, _folder) = databases();
    for database in databases {
        let replicas = [
            access(&Storage::open(database.clone(), SERVICE).await.unwrap()),
            access(&Storage::open(database, SERVICE).await.unwrap()),
        ];
        let sign_ins = (0..16).map(|index| {
            let access = replicas[index % 2].clone();
            tokio::spawn(async move { access.sign_in(new_session(profile("1", "anna"))).await })
        });
        for sign_in in sign_ins.collect::<Vec<_>>() {
            sign_in.await.unwrap().unwrap();
        }
        assert_eq!(replicas[0].people(0, 10).await.unwrap().len(), 1);
    }
}

#[tokio::test]
async fn people_are_listed_in_pages_with_their_permissions() {
    let (databases, _folder) = databases();
    for database in databases {
        let access = access(&Storage::open(database, SERVICE).await.unwrap());
        for number in 1..=5 {
            let granted = &["things-write", "things-read"][..number % 3];
            person(&access, &format!("p{number}"), granted).await;
        }
        let mut seen = Vec::new();
        let mut after = 0;
        loop {
            let page = access.people(after, 2).await.unwrap();
            let Some(last) = page.last() else { break };
            after = last.id;
            seen.extend(page.into_iter().map(|it| (it.login, it.permissions.len())));
        }
        let expected = [("p1", 1), ("p2", 2), ("p3", 0), ("p4", 1), ("p5", 2)];
        assert_eq!(seen, expected.map(|(login, count)| (login.to_owned(), count)));
        assert_eq!(status(access.person(6).await), StatusCode::NOT_FOUND);
    }
}

#[tokio::test]
async fn d25_nobody_grants_what_they_do_not_have() {
    let (databases, _folder) = databases();
    for database in databases {
        let storage = Storage::open(database, SERVICE).await.unwrap();
        let access = access(&storage);
        let admin = person(&access, "admin", &["admin"]).await;
        let clerk = person(&access, "clerk", &["users-write", "things-read"]).await;
        let id = person(&access, "guest", &[]).await.person().unwrap();
        let before = last_version(&storage).await;

        for unknown in ["things-delete", "Admin", ""] {
            let problem = access.grant(id, list(&[unknown]), &admin).await.unwrap_err();
            assert_eq!(problem.status(), StatusCode::BAD_REQUEST);
            assert!(problem.detail().contains("things-read"), "{}", problem.detail());
            let result = access.revoke(id, list(&[unknown]), &admin).await;
            assert_eq!(status(result), StatusCode::BAD_REQUEST);
        }
        for more in ["admin", "things-write"] {
            let with_more = list(&["things-read", more]);
            let result = access.grant(id, with_more, &clerk).await;
            assert_eq!(status(result), StatusCode::FORBIDDEN);
            let result = access.grant(clerk.person().unwrap(), list(&[more]), &clerk).await;
            assert_eq!(status(result), StatusCode::FORBIDDEN);
        }
        let admin_id = admin.person().unwrap();
        let result = access.revoke(admin_id, list(&["admin"]), &clerk).await;
        assert_eq!(status(result), StatusCode::FORBIDDEN);
        assert_eq!(status(access.remove_person(admin_id, &clerk).await), StatusCode::FORBIDDEN);
        assert_eq!(status(access.end_sessions(admin_id, &clerk).await), StatusCode::FORBIDDEN);
        assert_eq!(access.person(id).await.unwrap().permissions, list(&[]));
        assert_eq!(last_version(&storage).await, before, "nothing has changed");

        let granted = access.grant(id, list(&["things-read"]), &clerk).await.unwrap();
        assert_eq!(granted.permissions, list(&["things-read"]));
        let granted = access.grant(id, list(&["admin"]), &admin).await.unwrap();
        assert_eq!(granted.permissions, list(&["admin", "things-read"]));
        // What somebody has already, or does not have, is neither an error nor an event.
        access.grant(id, list(&["admin"]), &admin).await.unwrap();
        access.revoke(id, list(&["users-write"]), &admin).await.unwrap();
        access.revoke(id, list(&["admin"]), &admin).await.unwrap();
        assert_eq!(status(access.grant(99, list(&["admin"]), &admin).await), StatusCode::NOT_FOUND);
        let audited = audited(&storage).await;
        assert_eq!(
            audited[audited.len() - 3..],
            [
                "person:clerk person.grant github:guest things-read",
                "person:admin person.grant github:guest admin",
                "person:admin person.revoke github:guest admin",
            ]
        );
    }
}

#[tokio::test]
async fn a_token_for_some_identities_grants_nothing() {
    let (storage, _folder) = sqlite().await;
    let access = access(&storage);
    let id = person(&access, "guest", &[]).await.person().unwrap();
    let new = NewToken {
        name: "some".to_owned(),
        permissions: list(&["admin"]),
        prefixes: Some(list(&["acme-"])),
        expires: None,
    };
    let token = access.create_token(new, "test").await.unwrap().1;
    let some = access.principal(&machine(&token)).await.unwrap();
    let result = access.grant(id, list(&["things-read"]), &some).await;
    assert_eq!(status(result), StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn d10_a_command_makes_the_first_administrator() {
    let (databases, _folder) = databases();
    for database in databases {
        let storage = Storage::open(database, SERVICE).await.unwrap();
        let access = access(&storage);
        for wrong in ["anna", "gitlab:anna", "github:", "github: ", ""] {
            assert_eq!(status(access.add_admin(wrong).await), StatusCode::BAD_REQUEST);
        }
        // Before the first sign-in: by login, by address, by subject.
        for name in ["github:Anna", "github:bert@example.com", "github:33"] {
            assert!(matches!(access.add_admin(name).await.unwrap(), Added::Invited(_)));
            // Twice is once.
            assert!(matches!(access.add_admin(name).await.unwrap(), Added::Invited(_)));
        }
        assert_eq!(access.invitations().await.unwrap().len(), 3);
        // Neither an account at another provider, nor one whose login is another's number.
        let other = Profile { provider: "oidc".into(), ..profile("1", "anna") };
        for (profile, expected) in [
            (profile("9", "guest"), false),
            (other, false),
            (profile("8", "33"), false),
            (profile("1", "anna"), true),
            (profile("2", "bert"), true),
            (profile("33", "carl"), true),
        ] {
            let headers = sign_in(&access, profile.clone()).await;
            let principal = access.principal(&headers).await.unwrap();
            assert_eq!(principal.may("admin"), expected, "{profile:?}");
        }
        assert!(access.invitations().await.unwrap().is_empty(), "each is used once");

        // After the first sign-in, by the login without regard to case.
        let added = access.add_admin("github:GUEST").await.unwrap();
        assert!(matches!(added, Added::Granted(it) if it.login == "guest"));
        let audited = audited(&storage).await;
        assert!(audited.contains(&"command line invitation.create github:Anna admin".to_owned()));
        assert!(audited.contains(&"command line person.grant github:anna admin".to_owned()));
        assert!(audited.contains(&"command line person.grant github:guest admin".to_owned()));
    }
}

#[tokio::test]
async fn an_ambiguous_name_makes_nobody_an_administrator() {
    let (storage, _folder) = sqlite().await;
    let access = access(&storage);
    let shared = |subject: &str, login: &str| Profile {
        email: "team@example.com".to_owned(),
        ..profile(subject, login)
    };
    sign_in(&access, shared("1", "anna")).await;
    sign_in(&access, shared("2", "bert")).await;
    let problem = access.add_admin("github:team@example.com").await.unwrap_err();
    assert!(problem.detail().contains("1, 2"), "{}", problem.detail());
    assert!(access.people(0, 10).await.unwrap().iter().all(|it| it.permissions.is_empty()));
    assert!(access.invitations().await.unwrap().is_empty());
}

#[tokio::test]
async fn an_invitation_can_be_withdrawn() {
    let (storage, _folder) = sqlite().await;
    let access = access(&storage);
    access.add_admin("github:anna").await.unwrap();
    let clerk = person(&access, "clerk", &["users-write"]).await;
    let withdraw = |by: Principal| {
        let access = access.clone();
        async move { access.withdraw("github".into(), "anna".into(), "admin".into(), &by).await }
    };
    assert_eq!(status(withdraw(clerk).await), StatusCode::FORBIDDEN);
    let root = root().await;
    withdraw(root.clone()).await.unwrap();
    assert_eq!(status(withdraw(root).await), StatusCode::NOT_FOUND);
    let headers = sign_in(&access, profile("1", "anna")).await;
    assert!(!access.principal(&headers).await.unwrap().may("admin"));
}

#[tokio::test]
async fn d7_sessions_end_and_are_no_tokens() {
    let (databases, _folder) = databases();
    for database in databases {
        let storage = Storage::open(database, SERVICE).await.unwrap();
        let access = access(&storage);
        let sessions = access.sessions().unwrap();
        // Neither credential is accepted in place of the other.
        let key = access.sign_in(new_session(profile("1", "anna"))).await.unwrap();
        let token = token(&access, &["admin"]).await;
        let session = browser(sessions, &key);
        access.principal(&session).await.unwrap();
        access.principal(&machine(&token)).await.unwrap();
        assert_eq!(status(access.principal(&machine(&key)).await), StatusCode::UNAUTHORIZED);
        let result = access.principal(&browser(sessions, &token)).await;
        assert_eq!(status(result), StatusCode::UNAUTHORIZED);
        // An invalid token is not forgiven for the sake of a session.
        let mut both = session.clone();
        both.insert(header::AUTHORIZATION, HeaderValue::from_static("Bearer wrong"));
        assert_eq!(status(access.principal(&both).await), StatusCode::UNAUTHORIZED);

        // A sign-in replaces the session of that browser, and no other.
        let elsewhere = sign_in(&access, profile("1", "anna")).await;
        let mut again = new_session(profile("1", "anna"));
        again.replaces = sessions.session(&session);
        let key = access.sign_in(again).await.unwrap();
        let renewed = browser(sessions, &key);
        assert_eq!(status(access.principal(&session).await), StatusCode::UNAUTHORIZED);
        access.principal(&renewed).await.unwrap();
        // Signing out ends one session.
        access.sign_out(&renewed).await.unwrap();
        assert_eq!(status(access.principal(&renewed).await), StatusCode::UNAUTHORIZED);
        let anna = access.principal(&elsewhere).await.unwrap();
        // All sessions of a person end, on another replica as well.
        let replica = support::access(&storage);
        replica.principal(&elsewhere).await.unwrap();
        access.end_sessions(anna.person().unwrap(), &anna).await.unwrap();
        assert_eq!(status(access.principal(&elsewhere).await), StatusCode::UNAUTHORIZED);
        replica.refresh(last_version(&storage).await);
        assert_eq!(status(replica.principal(&elsewhere).await), StatusCode::UNAUTHORIZED);
        // What a person may do is what they may do now.
        let headers = sign_in(&access, profile("1", "anna")).await;
        let id = access.principal(&headers).await.unwrap().person().unwrap();
        access.grant(id, list(&["things-read"]), &root().await).await.unwrap();
        assert!(access.principal(&headers).await.unwrap().may("things-read"));
        access.revoke(id, list(&["things-read"]), &root().await).await.unwrap();
        assert!(!access.principal(&headers).await.unwrap().may("things-read"));
        access.remove_person(id, &root().await).await.unwrap();
        assert_eq!(status(access.principal(&headers).await), StatusCode::UNAUTHORIZED);
        // The database has hashes only.
        let key = key.expose_secret().to_owned();
        let kept =
            storage.read(move |sql| sql.query("SELECT hash FROM session", &[], |row| row.bytes(0)));
        let kept: Vec<Vec<u8>> = kept.await.map_err(|error: StorageError| error).unwrap();
        assert!(kept.iter().all(|it| it.len() == 32 && it != key.as_bytes()));
    }
}

#[tokio::test]
async fn a_sign_in_is_completed_once() {
    let (databases, _folder) = databases();
    for database in databases {
        let access = access(&Storage::open(database, SERVICE).await.unwrap());
        let new = new_session(profile("1", "anna"));
        access.sign_in(new.clone()).await.unwrap();
        assert_eq!(status(access.sign_in(new).await), StatusCode::BAD_REQUEST);
    }
}

#[tokio::test]
async fn a_session_expires_and_is_deleted() {
    let (databases, _folder) = databases();
    for database in databases {
        let storage = Storage::open(database, SERVICE).await.unwrap();
        let expired = SessionOptions { lifetime: Duration::ZERO, ..session_options() };
        let unused = SessionOptions { idle: Duration::ZERO, ..session_options() };
        for (options, why) in [(expired, "expired"), (unused.clone(), "unused")] {
            let access = access_with(&storage, options);
            let headers = sign_in(&access, profile("1", "anna")).await;
            let problem = access.principal(&headers).await.unwrap_err();
            assert_eq!(problem.status(), StatusCode::UNAUTHORIZED);
            assert!(problem.detail().contains(why), "{}", problem.detail());
        }
        let access = access(&storage);
        let headers = sign_in(&access, profile("1", "anna")).await;
        assert_eq!(access.purge_sessions().await.unwrap(), 1, "the expired one");
        access.principal(&headers).await.unwrap();
        assert_eq!(access_with(&storage, unused).purge_sessions().await.unwrap(), 2);
    }
}

#[tokio::test]
async fn a_session_in_use_elsewhere_does_not_end() {
    let (databases, _folder) = databases();
    for database in databases {
        let storage = Storage::open(database, SERVICE).await.unwrap();
        let access = access(&storage);
        let headers = sign_in(&access, profile("1", "anna")).await;
        let age = |at: &'static str| {
            let storage = storage.clone();
            async move {
                let aged: Result<u64, StorageError> =
                    storage.write(move |sql| sql.execute(at, &[])).await;
                aged.unwrap();
            }
        };
        // This replica has seen the session only long ago.
        age("UPDATE session SET last_used = 1").await;
        let here = support::access(&storage);
        assert_eq!(status(here.principal(&headers).await), StatusCode::UNAUTHORIZED);
        // The other one writes down that it is in use.
        access.principal(&headers).await.unwrap_err();
        age("UPDATE session SET last_used = expires").await;
        here.principal(&headers).await.unwrap();
        age("UPDATE session SET last_used = 1").await;
        here.flush_use().await.unwrap();
        support::access(&storage).principal(&headers).await.unwrap();
    }
}

#[tokio::test]
async fn d29_the_cookie_is_signed_and_kept_from_scripts_and_other_websites() {
    let (storage, _folder) = sqlite().await;
    let access = access(&storage);
    let sessions = access.sessions().unwrap();
    let key = access.sign_in(new_session(profile("1", "anna"))).await.unwrap();
    let cookie = sessions.session_cookie(&key).unwrap();
    assert!(cookie.is_sensitive());
    let (pair, attributes) = cookie.to_str().unwrap().split_once("; ").unwrap();
    let mut attributes: Vec<_> = attributes.split("; ").collect();
    attributes.sort_unstable();
    assert_eq!(attributes, ["HttpOnly", "Max-Age=43200", "Path=/", "SameSite=Lax", "Secure"]);
    assert!(pair.starts_with("__Host-things="));
    let dev = SessionOptions {
        dev: true,
        public_url: "http://127.0.0.1:8080".to_owned(),
        ..session_options()
    };
    let dev = Sessions::new(dev).unwrap().session_cookie(&key).unwrap();
    assert!(dev.to_str().unwrap().starts_with("things="));
    assert!(!dev.to_str().unwrap().contains("Secure"));

    // The key of the configuration, not one of this process: another replica reads the cookie.
    let headers = browser(sessions, &key);
    support::access(&storage).principal(&headers).await.unwrap();
    // Neither a forged cookie nor a broken one is more than none, and neither costs a query.
    let other_key = SessionOptions { key: Some("x".repeat(32).into()), ..session_options() };
    let forged = browser(&Sessions::new(other_key).unwrap(), &key);
    let unsigned = format!("__Host-things={}", key.expose_secret());
    let renamed = pair.replacen("__Host-things=", "__Host-other=", 1);
    for cookie in [forged[header::COOKIE].to_str().unwrap(), &unsigned, &renamed, "", "=;;", "%"] {
        let headers = [(header::COOKIE, HeaderValue::from_str(cookie).unwrap())];
        let result = access.principal(&headers.into_iter().collect()).await;
        assert_eq!(status(result), StatusCode::UNAUTHORIZED, "{cookie}");
    }
    // Beside cookies of others, it is found.
    let many = format!("a=b; {pair}; c=\"d\"");
    let headers = [(header::COOKIE, HeaderValue::from_str(&many).unwrap())];
    access.principal(&headers.into_iter().collect()).await.unwrap();
}

#[test]
fn options_of_sessions_are_checked() {
    let with = |key: Option<&str>, url: &str, dev| {
        Sessions::new(SessionOptions {
            key: key.map(Into::into),
            public_url: url.to_owned(),
            dev,
            ..session_options()
        })
    };
    assert!(matches!(with(None, ORIGIN, false), Err(SessionsError::NoKey)));
    for dev in [true, false] {
        assert!(matches!(with(Some(&KEY[1..]), ORIGIN, dev), Err(SessionsError::ShortKey(31))));
    }
    with(Some(KEY), ORIGIN, false).unwrap();
    with(None, "http://localhost:8080/", true).unwrap();
    for url in [
        "things.example",
        "http://things.example",
        "ftp://things.example",
        "",
        "https://things.example/path",
        "https://things.example?a",
        "https://a:hidden@b.example",
    ] {
        let error = with(Some(KEY), url, false).unwrap_err();
        assert!(matches!(error, SessionsError::PublicUrl { .. }), "{url}");
        assert!(!error.to_string().contains("hidden"), "{error}");
    }
    let debug = format!("{:?}", with(Some(KEY), ORIGIN, false).unwrap());
    assert!(!debug.contains(KEY), "{debug}");
}

async fn send(access: &Access, method: Method, headers: HeaderMap) -> StatusCode {
    let name = |principal: Principal| async move { principal.name().to_owned() };
    let router = Router::new()
        .route("/", get(name).put(name).post(name).delete(name))
        .with_state(access.clone());
    let mut request = Request::builder().method(method).uri("/").body(Body::empty()).unwrap();
    *request.headers_mut() = headers;
    router.oneshot(request).await.unwrap().status()
}

#[tokio::test]
async fn a_change_that_another_website_sent_is_rejected() {
    let (storage, _folder) = sqlite().await;
    let access = access(&storage);
    let session = sign_in(&access, profile("1", "anna")).await;
    let bearer = machine(&token(&access, &["admin"]).await);
    let from = |headers: &HeaderMap, origin: Option<&'static str>| {
        let mut headers = headers.clone();
        if let Some(origin) = origin {
            headers.insert(header::ORIGIN, HeaderValue::from_static(origin));
        }
        headers
    };
    let own = from(&session, Some(ORIGIN));
    let cross = from(&session, Some("https://evil.example"));
    for method in [Method::PUT, Method::POST, Method::DELETE] {
        assert_eq!(send(&access, method.clone(), own.clone()).await, StatusCode::OK);
        assert_eq!(send(&access, method.clone(), cross.clone()).await, StatusCode::FORBIDDEN);
        assert_eq!(send(&access, method.clone(), session.clone()).await, StatusCode::FORBIDDEN);
        // No browser adds a token by itself.
        let cross = from(&bearer, Some("https://evil.example"));
        assert_eq!(send(&access, method, cross).await, StatusCode::OK);
    }
    assert_eq!(send(&access, Method::GET, cross).await, StatusCode::OK);
    // A page of another website reaches a service on loopback without authentication.
    let open = Access::new(storage, PERMISSIONS, false);
    let none = HeaderMap::new();
    assert_eq!(send(&open, Method::PUT, none.clone()).await, StatusCode::OK);
    let cross = from(&none, Some("https://evil.example"));
    assert_eq!(send(&open, Method::PUT, cross).await, StatusCode::FORBIDDEN);
}
