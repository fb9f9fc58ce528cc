//! Release notes.

use toggle_meister::{model::note, role::Role};

use crate::{Client, escaped, html, support::Server};

const HOSTILE: &str = "<script>alert('1')</script> \"onclick=x";

#[tokio::test]
async fn a_note_is_looked_at_saved_edited_and_deleted() {
    let server = Server::start().await;
    server.feature("f").await;
    let dev = Client::new(&server, Role::Dev).await;
    assert!(dev.page("/ui/notes").await.contains("No notes found"));
    let note = [("title", "T"), ("body", "a\r\n\r\n**b**"), ("feature", "f")];
    let preview = [note.as_slice(), &[("preview", "true")]].concat();
    let shown = html(dev.post("/ui/notes/new", &preview).await).await;
    assert!(shown.contains("<p>a</p>\n<p><strong>b</strong></p>"), "{shown}");
    assert!(shown.contains("<option value=\"f\" selected>"), "{shown}");
    assert!(dev.page("/ui/notes").await.contains("No notes found"), "nothing was saved");

    assert_eq!(dev.done("/ui/notes/new", &note).await, "/ui/notes");
    let list = dev.page("/ui/notes").await;
    assert!(list.contains("<strong>b</strong>") && list.contains("/ui/feature/f\""), "{list}");
    assert!(dev.page("/ui/feature/f").await.contains("href=\"/ui/notes/1\""));
    // D41: an edit begins with what there is.
    let edit = dev.page("/ui/notes/1").await;
    assert!(
        edit.contains("<option value=\"f\" selected>") && edit.contains("a\n\n**b**"),
        "{edit}"
    );
    // D30: fields can be cleared.
    dev.done("/ui/notes/1", &[("title", "T2"), ("body", " "), ("feature", "")]).await;
    let stored = server.store().read(|sql| note::get(sql, 1)).await.unwrap();
    assert_eq!((stored.title.as_str(), stored.body, stored.feature), ("T2", None, None));
    assert!(dev.page("/ui/notes").await.contains("shown to everyone"));

    let error = dev.rejected("/ui/notes/1", &[("title", " "), ("body", "kept")], "title").await;
    assert_eq!(error, "No valid title.");
    let unknown = [("title", "T"), ("feature", "no-thing")];
    let error = dev.rejected("/ui/notes/new", &unknown, "feature").await;
    assert_eq!(error, "Expected the name of a feature.");
    for (field, bytes) in [("title", 1_000), ("body", 65_536)] {
        let long = "x".repeat(bytes + 1);
        let form = match field {
            "title" => vec![("title", long.as_str())],
            _ => vec![("title", "T"), ("body", &long)],
        };
        let error = dev.rejected("/ui/notes/new", &form, field).await;
        assert_eq!(error, format!("The {field} of a note has at most {bytes} bytes."));
    }
    dev.done("/ui/notes/1/delete", &[]).await;
    assert!(dev.page("/ui/notes").await.contains("No notes found"));
    assert_eq!(dev.get("/ui/notes/1").await.status(), 404);
}

#[tokio::test]
async fn what_somebody_writes_is_text() {
    let server = Server::start().await;
    let dev = Client::new(&server, Role::Dev).await;
    let note = [("title", HOSTILE), ("body", HOSTILE)];
    dev.done("/ui/notes/new", &note).await;
    let preview = [note.as_slice(), &[("preview", "true")]].concat();
    let preview = html(dev.post("/ui/notes/new", &preview).await).await;
    let paths = ["/ui/notes", "/ui/notes/1", "/ui/audit"];
    let mut pages = vec![preview];
    for path in paths {
        pages.push(dev.page(path).await);
    }
    for page in pages {
        assert!(!page.contains("<script>"), "{page}");
        assert!(page.contains(&escaped("<script>")) || page.contains("&lt;script&gt;"), "{page}");
    }
}

#[tokio::test]
async fn whoever_saves_second_overwrites_nothing_and_loses_nothing() {
    let server = Server::start().await;
    let dev = Client::new(&server, Role::Dev).await;
    dev.done("/ui/notes/new", &[("title", "T"), ("body", "b")]).await;
    let edit = dev.page("/ui/notes/1").await;
    let version = edit.split("name=\"version\" value=\"").nth(1).unwrap();
    let version = version.split('"').next().unwrap();
    let mine = [("version", version), ("title", "mine"), ("body", "my text")];
    let preview = [mine.as_slice(), &[("preview", "true")]].concat();
    let preview = html(dev.post("/ui/notes/1", &preview).await).await;
    assert!(preview.contains(&format!("name=\"version\" value=\"{version}\"")), "{preview}");

    let theirs = [("version", version), ("title", "theirs"), ("body", "their text")];
    dev.done("/ui/notes/1", &theirs).await;
    let rejected = dev.post("/ui/notes/1", &mine).await;
    assert_eq!(rejected.status(), 409);
    let page = html(rejected).await;
    let error = page.split("id=\"version-error\"").nth(1).unwrap();
    let said = error.split('>').nth(1).unwrap();
    assert!(said.starts_with("Somebody else has changed this note"), "{page}");
    assert!(page.contains("value=\"mine\"") && page.contains("my text"), "{page}");
    let stored = server.store().read(|sql| note::get(sql, 1)).await.unwrap();
    assert_eq!((stored.title.as_str(), stored.body.as_deref()), ("theirs", Some("their text")));
    // Whoever opens it again may change it.
    let now = stored.version.to_string();
    dev.done("/ui/notes/1", &[("version", &now), ("title", "both")]).await;
}

#[tokio::test]
async fn a_note_whose_feature_was_deleted_stays_unpublished_until_somebody_says_for_whom_it_is() {
    let server = Server::start().await;
    server.feature("f").await;
    let admin = Client::new(&server, Role::Admin).await;
    admin.done("/ui/notes/new", &[("title", "T"), ("feature", "f")]).await;
    admin.done("/ui/feature/f/delete", &[("hard", "true")]).await;
    assert!(admin.page("/ui/notes").await.contains("Shown to nobody: its feature was deleted"));
    let edit = admin.page("/ui/notes/1").await;
    assert!(edit.contains("<option value=\"-\" selected>Nobody: "), "{edit}");
    let read = async || server.store().read(|sql| note::get(sql, 1)).await.unwrap();
    admin.done("/ui/notes/1", &[("title", "T2"), ("feature", "-")]).await;
    let stored = read().await;
    assert_eq!((stored.title.as_str(), stored.is_withheld, stored.feature), ("T2", true, None));
    admin.done("/ui/notes/1", &[("title", "T2"), ("feature", "")]).await;
    assert!(!read().await.is_withheld);
    let page = admin.page("/ui/notes").await;
    assert!(
        page.contains("shown to everyone") && !admin.page("/ui/notes/1").await.contains("\"-\"")
    );
}
