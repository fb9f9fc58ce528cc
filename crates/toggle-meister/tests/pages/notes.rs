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
