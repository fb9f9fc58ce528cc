//! `flagstaff render`.

use std::{fs, path::Path};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{
    flagd,
    program::{Finished, finish, flagstaff},
    support::ports::free_port,
};

/// Flags of every type, and one by the tier of a deployment.
pub(crate) fn definition() -> Value {
    let flag = |value: Value| json!({ "state": "ENABLED", "variants": { "v": value }, "defaultVariant": "v" });
    json!({ "flags": {
        "max_replicas": {
            "state": "ENABLED",
            "variants": { "one": 1, "three": 3, "five": 5 },
            "defaultVariant": "one",
            "targeting": { "if": [
                { "==": [{ "var": "tier" }, "gold"] }, "five",
                { "===": [{ "var": "tier" }, 2] }, "three",
                { "==": [{ "var": "targetingKey" }, "acme-prod"] }, "three",
            ] },
        },
        "query": {
            "state": "ENABLED",
            "variants": { "whole": "whole", "cut": "cut" },
            "defaultVariant": "cut",
            "targeting": { "if": [{ "==": [{ "var": "query" }, "a=b=c"] }, "whole"] },
        },
        "ratio": flag(json!(0.5)),
        "image": flag(json!("web:1.2")),
        "beta": flag(json!(true)),
        "off": flag(json!(false)),
        "resources": flag(json!(true)),
        "own_enabled": flag(json!(true)),
        "limits": flag(json!({ "cpu": { "max": 2 }, "tags": ["a", "no"] })),
        "disabled": { "state": "DISABLED", "variants": { "v": 1 }, "defaultVariant": "v" },
    } })
}

/// A directory with `flags.json` and these files.
pub(crate) fn files(files: &[(&str, &[u8])]) -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("flags.json"), definition().to_string()).unwrap();
    for (name, content) in files {
        let path = directory.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }
    directory
}

async fn render_with(directory: &TempDir, args: &[&str], environment: &[(&str, &str)]) -> Finished {
    let mut command = flagstaff(&[&["render", "--file", "flags.json"], args].concat());
    command.current_dir(directory.path()).envs(environment.iter().copied());
    finish(command).await
}

/// The output of a template.
async fn rendered(template: &str, args: &[&str]) -> Finished {
    let directory = files(&[("a.yaml", template.as_bytes())]);
    render_with(&directory, &[&["a.yaml"], args].concat(), &[]).await
}

/// Everything below a directory: the paths of files, and what is in them.
fn tree(root: &Path) -> Vec<(String, Vec<u8>)> {
    let mut found = Vec::new();
    let mut directories = vec![root.to_owned()];
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                directories.push(path);
            } else {
                let name = path.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
                found.push((name, fs::read(path).unwrap()));
            }
        }
    }
    found.sort();
    found
}

#[tokio::test]
async fn the_calls_of_the_original_work_as_they_are() {
    for (template, expected) in [
        (r#"replicas: [{ env "max_replicas" }]"#, "replicas: 1\n"),
        (r#"a: [{ env "ratio" }] [{ env "image" | quote }]"#, "a: 0.5 \"web:1.2\"\n"),
        (
            r#"a: [{ env "beta_enabled" }] [{ env "off_enabled" }] [{ env "no_enabled" }]"#,
            "a: true false false\n",
        ),
        (r#"a: [{ env "limits.cpu.max" }]"#, "a: 2\n"),
        ("[{ if env \"beta_enabled\" -}]\na: 1\n[{- else }]\nb: 2\n[{- end }]\n", "a: 1\n"),
        ("a:[{ env \"limits.tags\" | toYaml | nindent 2 }]\n", "a:\n  - a\n  - \"no\"\n"),
    ] {
        let run = rendered(template, &[]).await;
        assert_eq!((run.code, &*run.out, &*run.err), (Some(0), expected, ""), "{template}");
    }
}

#[tokio::test]
async fn the_example_of_the_page_is_rendered() {
    let page = include_str!("../../docs/cli.md");
    let (_, section) = page.split_once("\n## render\n").unwrap();
    let (_, example) = section.split_once("\n```yaml\n").unwrap();
    let (example, _) = example.split_once("\n```").unwrap();
    let run = rendered(example, &[]).await;
    let expected = "replicas: 1\nimage: \"web:1.2\"\nresources:\n  cpu:\n    max: 2\n  tags:\n  - a\n  - \"no\"\n";
    assert_eq!((run.code, &*run.out, &*run.err), (Some(0), expected, ""));
}

/// What Go's own templates give for the same text; `go_templates.go` writes the file.
#[tokio::test]
async fn templates_of_go_give_what_go_gives() {
    let rows: Vec<(String, String)> =
        serde_json::from_str(include_str!("go_templates.json")).unwrap();
    assert!(rows.len() > 100, "{} rows", rows.len());
    let flag = |value: Value| json!({ "state": "ENABLED", "variants": { "v": value }, "defaultVariant": "v" });
    let definition = json!({ "flags": {
        "n": flag(json!(5)), "s": flag(json!("a b")), "e": flag(json!("")), "q": flag(json!("a\"b\\c")),
        "on": flag(json!(true)), "off": flag(json!(false)),
    } });
    let names: Vec<_> = (0..rows.len()).map(|row| format!("in/{row}.txt")).collect();
    let templates =
        rows.iter().zip(&names).map(|((template, _), name)| (&**name, template.as_bytes()));
    let directory = files(&templates.collect::<Vec<_>>());
    fs::write(directory.path().join("flags.json"), definition.to_string()).unwrap();
    let run = render_with(&directory, &["in", "--out", "out"], &[]).await;
    assert_eq!((run.code, &*run.err), (Some(0), ""));
    for (row, (template, expected)) in rows.iter().enumerate() {
        let output = fs::read_to_string(directory.path().join(format!("out/{row}.txt"))).unwrap();
        assert_eq!(output, *expected, "{template:?}");
    }
}

#[tokio::test]
async fn flags_have_types_defaults_and_parts() {
    for (template, expected) in [
        (r#"a: [{ flag("max_replicas") * 2 }]"#, "a: 2\n"),
        (r#"a: [{ flag("missing", 7) }] [{ flag("missing") | default("x") }]"#, "a: 7 x\n"),
        (r#"a: [{ flag("disabled", 8) }]"#, "a: 8\n"),
        (r#"a: [{ flag("limits").cpu.max }] [{ flag("limits").x | default(9) }]"#, "a: 2 9\n"),
        (
            "a:\n[{ flag(\"limits\") | toYaml | indent(2) }]\n",
            "a:\n  cpu:\n    max: 2\n  tags:\n  - a\n  - \"no\"\n",
        ),
        (
            "[{% for tag in flag(\"limits\").tags %}]- [{ tag | quote }]\n[{% endfor %}]",
            "- \"a\"\n- \"no\"\n",
        ),
    ] {
        let run = rendered(template, &[]).await;
        assert_eq!((run.code, &*run.out, &*run.err), (Some(0), expected, ""), "{template}");
    }
}

#[tokio::test]
async fn a_flag_without_a_value_stops_with_file_and_line() {
    for (template, place, message) in [
        ("a: 1\nb: [{ env \"missing\" }]\n", "a.yaml:2: ", "flag `missing` does not exist"),
        ("a: [{ flag(\"missing\") }]\n", "a.yaml:1: ", "flag `missing` does not exist"),
        ("\n\na: [{ flag(\"disabled\") }]\n", "a.yaml:3: ", "flag `disabled` is disabled"),
        (
            "\na: [{ range env \"x\" }]\n",
            "a.yaml:2: ",
            "`range` of Go's templates is not supported",
        ),
        ("\na: [{b: c}]\n", "a.yaml:2: ", "write `[ {`"),
    ] {
        let run = rendered(template, &[]).await;
        assert_eq!((run.code, &*run.out), (Some(1), ""), "{template}");
        let expected = format!("flagstaff: {place}");
        assert!(run.err.starts_with(&expected) && run.err.contains(message), "{}", run.err);
        assert_eq!(run.err.lines().count(), 1, "{}", run.err);
    }
}

#[tokio::test]
async fn a_directory_becomes_the_same_tree() {
    let binary = [b"[{ env \"x\" }]".as_slice(), &[0xff, 0]].concat();
    let directory = files(&[
        ("in/a.yaml", b"r: [{ env \"max_replicas\" }]\n"),
        ("in/templates/b.txt", b"[{ env \"image\" }]"),
        ("in/templates/_helpers.tpl", b"{{ .Values.x }}"),
        ("in/.helmignore", b"*.md\n"),
        ("in/charts/c.tgz", b"[{ not rendered"),
        ("in/d.bin", &binary),
        ("in/.git/config", b"[{ not rendered"),
        ("single.yaml", b"[{ env \"ratio\" }]\n"),
    ]);
    let run = render_with(&directory, &["in", "single.yaml", "--out", "out"], &[]).await;
    assert_eq!((run.code, &*run.out, &*run.err), (Some(0), "", ""));
    let expected = [
        (".helmignore", b"*.md\n".as_slice()),
        ("a.yaml", b"r: 1\n"),
        ("charts/c.tgz", b"[{ not rendered"),
        ("d.bin", &binary),
        ("single.yaml", b"0.5\n"),
        ("templates/_helpers.tpl", b"{{ .Values.x }}"),
        ("templates/b.txt", b"web:1.2"),
    ];
    let expected = expected.map(|(name, content)| (name.to_owned(), content.to_owned()));
    assert_eq!(tree(&directory.path().join("out")), expected);

    // An output inside of the directory is not rendered again.
    for _ in 0..2 {
        let run = render_with(&directory, &["in", "--out", "in/out"], &[]).await;
        assert_eq!(run.code, Some(0), "{}", run.err);
    }
    let names: Vec<_> =
        tree(&directory.path().join("in/out")).into_iter().map(|(name, _)| name).collect();
    let all = [
        ".helmignore",
        "a.yaml",
        "charts/c.tgz",
        "d.bin",
        "templates/_helpers.tpl",
        "templates/b.txt",
    ];
    assert_eq!(names, all);
}

/// Neither half a tree, nor a change of what was there.
#[tokio::test]
async fn after_an_error_nothing_is_written() {
    let directory = files(&[
        ("in/a.yaml", b"a: [{ env \"ratio\" }]\n"),
        ("in/z.yaml", b"a: [{ env \"missing\" }]\n"),
        ("out/a.yaml", b"before\n"),
    ]);
    let before = tree(directory.path());
    for out in ["out", "new"] {
        let run = render_with(&directory, &["in", "--out", out], &[]).await;
        assert_eq!((run.code, &*run.out), (Some(1), ""));
        assert!(run.err.starts_with("flagstaff: in/z.yaml:1: "), "{}", run.err);
    }
    assert_eq!(tree(directory.path()), before);
    assert!(!directory.path().join("new").exists());
}

/// F3, F4: the original cleaned the source directory, and could delete the template.
#[tokio::test]
async fn f3_and_f4_nothing_is_deleted() {
    let directory =
        files(&[("in/a.yaml", b"[{ env \"ratio\" }]"), ("out/other", b"x"), ("out/a.yaml", b"x")]);
    let run = render_with(&directory, &["in", "--out", "out"], &[]).await;
    assert_eq!(run.code, Some(0), "{}", run.err);
    let root = directory.path();
    assert_eq!(fs::read(root.join("in/a.yaml")).unwrap(), b"[{ env \"ratio\" }]");
    assert_eq!(fs::read(root.join("out/other")).unwrap(), b"x");
    assert_eq!(fs::read(root.join("out/a.yaml")).unwrap(), b"0.5");
    for args in [&["in", "--out", "in"][..], &["in/a.yaml", "--out", "in"]] {
        let run = render_with(&directory, args, &[]).await;
        assert_eq!(run.code, Some(1), "{args:?}");
        assert!(run.err.contains("choose another"), "{}", run.err);
    }
    assert_eq!(fs::read(root.join("in/a.yaml")).unwrap(), b"[{ env \"ratio\" }]");
}

#[cfg(unix)]
#[tokio::test]
async fn nothing_is_written_outside_of_the_directory() {
    use std::os::unix::fs::symlink;
    let directory = files(&[("in/sub/a.yaml", b"a: 1\n"), ("outside/b", b"secret")]);
    let root = directory.path();
    fs::create_dir(root.join("out")).unwrap();
    symlink(root.join("outside"), root.join("out/sub")).unwrap();
    let before = tree(&root.join("outside"));
    let run = render_with(&directory, &["in", "--out", "out"], &[]).await;
    assert_eq!(run.code, Some(1), "{}", run.err);
    assert!(run.err.contains("no symbolic link"), "{}", run.err);
    assert_eq!(tree(&root.join("outside")), before);
    // Nor is anything read from there.
    symlink(root.join("outside/b"), root.join("in/b.yaml")).unwrap();
    let run = render_with(&directory, &["in"], &[]).await;
    assert_eq!((run.code, &*run.out), (Some(1), ""));
    assert!(run.err.contains("leads out of"), "{}", run.err);
}

#[tokio::test]
async fn f7_a_property_keeps_its_equals_signs() {
    let directory = files(&[("a.yaml", b"[{ env \"query\" }]")]);
    for (args, environment) in [
        (&["--property", "query=a=b=c"][..], &[][..]),
        (&[], &[("FLAGOPS_PROP_QUERY", "a=b=c")]),
        (&[], &[("ARGOCD_ENV_FLAGOPS_PROP_QUERY", "a=b=c")]),
        (&[], &[("ARGOCD_ENV_FLAGOPS_PROP_QUERY", "x"), ("FLAGOPS_PROP_QUERY", "a=b=c")]),
        (&["--property=query=a=b=c"], &[("FLAGOPS_PROP_QUERY", "x")]),
    ] {
        let run = render_with(&directory, &[&["a.yaml"], args].concat(), environment).await;
        assert_eq!(
            (run.code, &*run.out),
            (Some(0), "whole\n"),
            "{args:?} {environment:?} {}",
            run.err
        );
    }
}

#[tokio::test]
async fn the_identity_and_the_properties_decide() {
    let directory = files(&[("a.yaml", b"[{ env \"max_replicas\" }]")]);
    for (args, environment, expected) in [
        (&[][..], &[][..], "1\n"),
        (&["--identity", "acme-prod"], &[], "3\n"),
        (&[], &[("FLAGOPS_IDENTITY", "acme-prod"), ("ARGOCD_APP_NAME", "x")], "3\n"),
        (&[], &[("FLAGOPS_IDENTITY", ""), ("ARGOCD_APP_NAME", "acme-prod")], "3\n"),
        (&["--identity", "x"], &[("ARGOCD_APP_NAME", "acme-prod")], "1\n"),
        (&["--property", "tier=gold"], &[("ARGOCD_APP_NAME", "acme-prod")], "5\n"),
        // A string unless it is to be JSON.
        (&["--property", "tier=2"], &[], "1\n"),
        (&["--property", "tier=2", "--json-properties"], &[], "3\n"),
    ] {
        let run = render_with(&directory, &[&["a.yaml"], args].concat(), environment).await;
        assert_eq!(
            (run.code, &*run.out),
            (Some(0), expected),
            "{args:?} {environment:?} {}",
            run.err
        );
    }
    for (args, message) in [
        (["--property", "a"], "expected NAME=VALUE"),
        (["--property", "targetingKey=a"], "write --identity"),
        (["--identity", ""], "--identity"),
    ] {
        let run = render_with(&directory, &[&["a.yaml"][..], &args].concat(), &[]).await;
        assert!(run.code == Some(2) && run.err.contains(message), "{run:?}");
    }
}

/// F8: the original crashed.
#[tokio::test]
async fn f8_what_does_not_exist_is_an_error() {
    let directory = files(&[("a.yaml", b"[{ env \"ratio\" }]")]);
    let run = render_with(&directory, &["a.yaml", "missing"], &[]).await;
    assert_eq!((run.code, &*run.out), (Some(1), ""));
    assert!(run.err.starts_with("flagstaff: missing: cannot be read: "), "{}", run.err);
    let mut command = flagstaff(&["render", "a.yaml", "--file", "missing.json"]);
    command.current_dir(directory.path());
    let run = finish(command).await;
    assert_eq!((run.code, &*run.out), (Some(1), ""));
    assert!(run.err.contains("missing.json"), "{}", run.err);
    assert_eq!(render_with(&directory, &[], &[]).await.code, Some(2));
}

#[tokio::test]
async fn f9_every_flag_is_reachable_and_no_key_is_nil() {
    let run = rendered("a: [{ env \"own_enabled\" }] [{ flag(\"own_enabled\") }]", &[]).await;
    assert_eq!((run.code, &*run.out), (Some(0), "a: true true\n"), "{}", run.err);
    let run = rendered("a:\nb: [{ env \"limits.cpu.min\" }]\n", &[]).await;
    assert_eq!((run.code, &*run.out), (Some(1), ""));
    assert!(
        run.err.starts_with("flagstaff: a.yaml:2: the value of flag `limits` has no key `min`"),
        "{}",
        run.err
    );
    let run = rendered("b: [{ env \"limits.cpu.min\" | default 4 }]\n", &[]).await;
    assert_eq!((run.code, &*run.out), (Some(0), "b: 4\n"), "{}", run.err);
}

#[tokio::test]
async fn f10_documents_are_separated_and_only_manifests_are_printed() {
    let directory = files(&[
        ("in/a.yaml", b"a: 1"),
        ("in/b.yml", b"---\nb: 2\n"),
        ("in/c.json", b"{}\n"),
        ("in/empty.yaml", b"[{ if env \"off_enabled\" }]x: 1[{ end }]\n"),
        ("in/README.md", b"[{ not rendered"),
        ("in/d.tgz", b"x"),
        ("in/e.yaml", b"\xff"),
        ("notes", b"d: 4\n"),
    ]);
    let run = render_with(&directory, &["in", "notes"], &[]).await;
    let expected = "a: 1\n---\nb: 2\n---\n{}\n---\nd: 4\n";
    assert_eq!((run.code, &*run.out, &*run.err), (Some(0), expected, ""));
    for named in ["in/d.tgz", "in/e.yaml"] {
        let run = render_with(&directory, &["notes", named], &[]).await;
        assert_eq!((run.code, &*run.out), (Some(1), ""), "{named}");
        assert!(run.err.contains("--out DIR"), "{}", run.err);
    }
}

#[tokio::test]
async fn text_is_put_around_each_template_and_lines_stay_right() {
    let around =
        ["--prepend", "# by us\n[{ if env \"beta_enabled\" -}]\n", "--append", "[{ end }]"];
    let run = rendered("a: 1\n", &around).await;
    assert_eq!((run.code, &*run.out), (Some(0), "# by us\na: 1\n"), "{}", run.err);
    let run = rendered("a: 1\nb: [{ env \"missing\" }]\n", &around).await;
    assert!(run.err.starts_with("flagstaff: a.yaml:2: flag `missing`"), "{}", run.err);
    let run = rendered("a: 1\n", &["--prepend", "[{ env \"missing\" }]\n"]).await;
    assert!(run.err.starts_with("flagstaff: a.yaml: --prepend: flag `missing`"), "{}", run.err);
}

/// The parser is recursive: whatever a template contains, the program ends with an error.
#[tokio::test]
async fn hostile_templates_do_not_crash_the_program() {
    let [many, most] = [30_000, 16_000];
    for template in [
        format!("[{{ {}1 }}]", "- ".repeat(many)),
        format!("[{{ {}1 }}]", "-".repeat(most)),
        format!("[{{ {}1 }}]", "not ".repeat(most / 4)),
        format!("[{{ 1{} }}]", "|d".repeat(most / 2)),
        format!("[{{ 1{} }}]", "+1".repeat(most / 2)),
        format!("[{{ x{} }}]", ".a".repeat(most / 2)),
        format!("[{{ {}1{} }}]", "(".repeat(most / 2), ")".repeat(most / 2)),
        format!("[{{ {}{} }}]", "[".repeat(most / 2), "]".repeat(most / 2)),
        format!("[{{ {} }}]", "flag(".repeat(most / 5)),
        format!("{}{}", "[{ if true }]".repeat(many), "[{ end }]".repeat(many)),
        format!("[{{ if false }}]{}[{{ end }}]", "[{ else if false }]".repeat(many)),
        format!("[{{ if false }}]{}[{{ end }}]", "[{ else if false }]".repeat(4_000)),
        format!("[{{ if false }}]{}[{{ end }}]", "[{%- elif false %}]".repeat(many)),
        "[{".repeat(many),
        "[{ ' ".repeat(many),
        "[{% raw %}]".repeat(many),
        "[{ x }] [{/*".repeat(many),
    ] {
        let run = rendered(&template, &[]).await;
        let start: String = template.chars().take(40).collect();
        assert!(matches!(run.code, Some(0 | 1)), "{start}: {run:?}");
    }
}

/// By options and by the environment, as `eval`.
#[tokio::test]
async fn flags_come_from_any_resolver() {
    let flagd = flagd(&definition()).await;
    let directory = files(&[("a.yaml", b"[{ env \"max_replicas\" }]")]);
    let (port, sync) = (flagd.port().to_string(), flagd.ports().sync.to_string());
    let path = directory.path().join("flags.json");
    let path = path.to_str().unwrap();
    let common = ["render", "a.yaml", "--property", "tier=gold", "--deadline-ms", "10000"];
    for (args, environment) in [
        (&["--port", &port][..], &[][..]),
        (&["--in-process", "--port", &sync], &[]),
        (&["--file", path], &[]),
        (&[], &[("FLAGD_PORT", port.as_str())]),
        (&[], &[("FLAGD_RESOLVER", "in-process"), ("FLAGD_SYNC_PORT", sync.as_str())]),
        (&[], &[("FLAGD_RESOLVER", "file"), ("FLAGD_OFFLINE_FLAG_SOURCE_PATH", path)]),
    ] {
        let mut command = flagstaff(&[&common[..], args].concat());
        command.current_dir(directory.path()).envs(environment.iter().copied());
        let run = finish(command).await;
        assert_eq!((run.code, &*run.out), (Some(0), "5\n"), "{args:?} {environment:?} {}", run.err);
    }
}

#[tokio::test]
async fn no_default_stands_in_for_a_flagd_that_is_unreachable() {
    let directory = files(&[("a.yaml", b"\n[{ flag(\"max_replicas\", 3) }]")]);
    let port = free_port().to_string();
    let mut command = flagstaff(&["render", "a.yaml", "--host", "127.0.0.1", "--port", &port]);
    command.current_dir(directory.path());
    let run = finish(command).await;
    assert_eq!((run.code, &*run.out), (Some(3), ""));
    assert!(
        run.err.starts_with("flagstaff: a.yaml:2: flag `max_replicas` cannot be evaluated"),
        "{}",
        run.err
    );
}
