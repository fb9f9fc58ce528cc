//! Markdown of release notes, as HTML that is safe in a page.
//!
//! HTML in it is text, a link leads to the web or to an e-mail address, and a picture becomes a
//! link, since the pages load nothing from elsewhere.

use pulldown_cmark::{Alignment, CowStr, Event, LinkType, Options, Parser, Tag, TagEnd, html};

/// Renders Markdown.
pub(super) fn render(markdown: &str) -> String {
    let mut links = Links::default();
    let options = Options::ENABLE_TABLES | Options::ENABLE_STRIKETHROUGH;
    let events = Parser::new_ext(markdown, options).filter_map(|event| links.safe(event));
    let mut text = String::new();
    html::push_html(&mut text, events);
    text
}

/// The links and pictures that are open, and whether each is kept.
#[derive(Default)]
struct Links(Vec<bool>);

impl Links {
    /// What becomes of an event.
    fn safe<'a>(&mut self, event: Event<'a>) -> Option<Event<'a>> {
        match event {
            Event::Html(text) | Event::InlineHtml(text) => Some(Event::Text(text)),
            Event::Start(Tag::HtmlBlock) => Some(Event::Start(Tag::Paragraph)),
            Event::End(TagEnd::HtmlBlock) => Some(Event::End(TagEnd::Paragraph)),
            // Alignment would be a style, which the pages forbid.
            Event::Start(Tag::Table(columns)) => {
                Some(Event::Start(Tag::Table(vec![Alignment::None; columns.len()])))
            }
            Event::Start(
                Tag::Link { link_type, dest_url, title, id }
                | Tag::Image { link_type, dest_url, title, id },
            ) => {
                let is_kept = is_safe(link_type, &dest_url) && !self.0.contains(&true);
                self.0.push(is_kept);
                is_kept.then_some(Event::Start(Tag::Link { link_type, dest_url, title, id }))
            }
            Event::End(TagEnd::Link | TagEnd::Image) => {
                self.0.pop().unwrap_or_default().then_some(Event::End(TagEnd::Link))
            }
            other => Some(other),
        }
    }
}

fn is_safe(kind: LinkType, url: &CowStr<'_>) -> bool {
    let scheme = url.split_once(':').map(|it| it.0.to_ascii_lowercase());
    kind == LinkType::Email
        || scheme.is_some_and(|it| ["http", "https", "mailto"].contains(&it.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markdown_becomes_html() {
        let text = "# New\n\n*Fast* **checkout**, ~~slow~~ `code`\n\n- one\n- two\n\n> quoted\n";
        let html = render(text);
        for part in
            ["<h1>New</h1>", "<em>Fast</em>", "<del>slow</del>", "<li>one</li>", "<blockquote>"]
        {
            assert!(html.contains(part), "{part}: {html}");
        }
        let table = render("|a|b|\n|:-:|-:|\n|1|2|\n");
        assert!(table.contains("<td>1</td>") && !table.contains("style"), "{table}");
    }

    #[test]
    fn html_is_text() {
        for text in [
            "<script>alert(1)</script>",
            "a <img src=x onerror=alert(1)> b",
            "<b onclick=x>bold</b>",
            "<!-- <script> -->",
            "<style>*{display:none}</style>",
            "```<script>\nalert(1)\n```",
            "`<script>`",
            "[a](<https://x.example/\"onmouseover=alert(1)>)",
            "[a](https://x.example \"\\\"><script>\")",
            "![<script>](https://x.example/y.png \"t\")",
        ] {
            let html = render(text);
            for tag in html.split('<').skip(1) {
                let name = tag.trim_start_matches('/').split(['>', ' ', '\n']).next().unwrap_or("");
                assert!(["p", "a", "pre", "code", "br"].contains(&name), "{text}: {html}");
                let tag = tag.split('>').next().unwrap_or("");
                assert!(!tag.replace("&quot;", "").contains(" on"), "{text}: {html}");
            }
        }
    }

    #[test]
    fn links_lead_to_the_web_or_to_an_address_only() {
        for kept in [
            "https://a.example",
            "http://a.example/x?y=1",
            "HTTPS://a.example",
            "mailto:a@b.example",
        ] {
            let html = render(&format!("[text]({kept})"));
            assert!(html.contains(&format!("<a href=\"{kept}\">text</a>")), "{html}");
        }
        for dropped in [
            "javascript:alert(1)",
            "JaVaScRiPt:alert(1)",
            "data:text/html,x",
            "/ui",
            "x",
            "java&#x73;cript:alert(1)",
            "vbscript:x",
            "//a.example",
        ] {
            let html = render(&format!("[text]({dropped})"));
            assert_eq!(html, "<p>text</p>\n", "{dropped}");
        }
        assert!(render("<a@b.example>").contains("href=\"mailto:a@b.example\""));
        assert_eq!(render("<javascript:alert(1)>"), "<p>javascript:alert(1)</p>\n");
        let picture = render("![a picture](https://a.example/x.png)");
        assert_eq!(picture, "<p><a href=\"https://a.example/x.png\">a picture</a></p>\n");
        let nested = render("[![a](https://b.example/x.png)](https://a.example)");
        assert_eq!(nested.matches("<a ").count(), 1, "{nested}");
        assert_eq!(nested.matches("</a>").count(), 1, "{nested}");
    }
}
