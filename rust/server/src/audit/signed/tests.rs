//! Signed logs in files: what is written, and how they go on after a crash.

use std::path::{Path, PathBuf};

use callgate_ledger::{Checkpoint, Frontier, PublicKey, SigningKey, leaf_hash};
use serde_json::Value;

use super::*;
use crate::audit::config::{AuditTarget, EVERY_ALLOW, KeyPem};
use crate::audit::sink::{Opened, open};
use crate::audit::tests::Folder;

/// Keys of the tests alone; the first is that of RFC 8032, section 7.1, test 1, the second that of test 2.
const KEY: &str = "MC4CAQAwBQYDK2VwBCIEIJ1hsZ3v/VpguoRK9JLsLMREScVpezJpGXA7rAMcrn9g";
const NEXT_KEY: &str = "MC4CAQAwBQYDK2VwBCIEIEzNCJso/5banbbDRuwRTg9bijGfNaumJNqM9u1PuKb7";

fn pem(key: &str) -> Vec<u8> {
    format!("-----BEGIN PRIVATE KEY-----\n{key}\n-----END PRIVATE KEY-----\n").into_bytes()
}

fn public(key: &str) -> PublicKey {
    SigningKey::from_pem(&pem(key)).unwrap().public()
}

fn config(path: &Path) -> AuditConfig {
    AuditConfig {
        mode: AuditMode::Required,
        sync_interval_ms: 0,
        signing: Some(AuditSigning {
            key: KeyPem(pem(KEY)),
            public_key: Some(known_public(KEY)),
            former_keys: Vec::new(),
            statements: Vec::new(),
            expires_unix_s: None,
            stream: "host".to_owned(),
            checkpoint_interval_ms: 0,
            logged_of_million: EVERY_ALLOW,
        }),
        ..AuditConfig::new(AuditTarget::File(path.to_owned()))
    }
}

fn opened(config: &AuditConfig) -> Opened {
    open(config).unwrap()
}

/// Writes lines with these numbers and signs them.
fn write(sink: &mut dyn Sink, numbers: std::ops::Range<u32>) {
    for number in numbers {
        sink.write(format!("{{\"a\":{number}}}\n").as_bytes()).unwrap();
    }
    sink.attest(Missing::default(), true).unwrap();
}

/// The lines of all files of a log, the oldest first.
fn lines(path: &Path) -> Vec<Vec<u8>> {
    let mut files: Vec<PathBuf> = (1..20)
        .map(|number| numbered(path, number))
        .filter(|file| file.exists())
        .collect();
    files.reverse();
    files.push(path.to_owned());
    files.iter().flat_map(|file| lines_of(file)).collect()
}

/// The lines of a file: bytes, because a crash may cut a character.
fn lines_of(file: &Path) -> Vec<Vec<u8>> {
    let bytes = std::fs::read(file).unwrap_or_default();
    let lines = bytes.split_inclusive(|&byte| byte == b'\n');
    lines
        .map(|line| line.strip_suffix(b"\n").unwrap_or(line).to_vec())
        .collect()
}

fn parsed(lines: &[Vec<u8>]) -> Vec<Value> {
    lines
        .iter()
        .map(|line| serde_json::from_slice(line).unwrap())
        .collect()
}

/// Checks every checkpoint against the lines before it; returns the number of entries that are signed.
fn checked(lines: &[Vec<u8>], keys: &[PublicKey]) -> u64 {
    let mut signed = 0;
    let mut tree = Frontier::default();
    for (index, line) in lines.iter().enumerate() {
        let value: Value = serde_json::from_slice(line).unwrap_or_default();
        if value.is_object() {
            assert_eq!(value["index"], index, "{value}");
        }
        if value["kind"] == "checkpoint" {
            let checkpoint = Checkpoint::open(value["note"].as_str().unwrap(), keys).unwrap();
            assert_eq!((checkpoint.size, checkpoint.root), (tree.size(), tree.root()));
            signed = tree.size() + 1;
        }
        tree.append(leaf_hash(line));
    }
    signed
}

fn kinds(lines: &[Vec<u8>]) -> Vec<String> {
    parsed(lines)
        .iter()
        .map(|line| line["kind"].as_str().unwrap_or("decision").to_owned())
        .collect()
}

#[test]
fn every_line_is_an_entry_and_is_signed() {
    let folder = Folder::new();
    let path = folder.file("log");
    let mut opened = opened(&config(&path));
    assert_eq!(opened.head.as_ref().unwrap().get(), None);
    write(&mut *opened.sink, 0..2);
    write(&mut *opened.sink, 2..3);
    assert!(
        !opened.sink.attest(Missing::default(), true).unwrap(),
        "nothing is new"
    );
    let lines = lines(&path);
    assert_eq!(
        kinds(&lines),
        [
            "file",
            "decision",
            "decision",
            "checkpoint",
            "decision",
            "checkpoint"
        ]
    );
    assert_eq!(lines[1], br#"{"a":0,"index":1}"#);
    assert_eq!(checked(&lines, &[public(KEY)]), 6);
    let head = opened.head.unwrap().get().unwrap();
    assert_eq!(head.size, 5);
    assert!(head.origin.starts_with("host/") && head.origin.len() == "host/".len() + 16);
    assert_eq!(
        std::fs::read_to_string(folder.file("log.checkpoint")).unwrap(),
        head.note
    );
    assert_eq!(parsed(&lines)[0]["origin"], head.origin.as_str());
}

#[test]
fn gaps_are_told_once() {
    let folder = Folder::new();
    let path = folder.file("log");
    let mut log = opened(&config(&path)).sink;
    write(&mut *log, 0..1);
    let missing = Missing {
        dropped: 3,
        sampled: 40,
    };
    assert!(log.attest(missing, true).unwrap());
    assert!(!log.attest(missing, true).unwrap());
    let more = Missing {
        dropped: 3,
        sampled: 41,
    };
    assert!(log.attest(more, true).unwrap());
    let lines = lines(&path);
    let gaps: Vec<(Value, Value)> = parsed(&lines)
        .iter()
        .filter(|line| line["kind"] == "gap")
        .map(|line| (line["reason"].clone(), line["count"].clone()))
        .collect();
    let expected = [("sampled", 40), ("dropped", 3), ("sampled", 1)];
    assert_eq!(
        gaps,
        expected.map(|(reason, count)| (reason.into(), count.into()))
    );
    checked(&lines, &[public(KEY)]);
}

#[test]
fn files_continue_one_tree() {
    let folder = Folder::new();
    let path = folder.file("log");
    let config = AuditConfig {
        max_bytes: 900,
        keep: 9,
        ..config(&path)
    };
    for round in 0..4 {
        let mut log = opened(&config).sink;
        write(&mut *log, 10 * round..10 * round + 5);
        // Longer than a file.
        log.write(format!("{{\"long\":\"{}\"}}\n", "x".repeat(1_000)).as_bytes())
            .unwrap();
        write(&mut *log, 10 * round + 5..10 * round + 10);
    }
    let lines = lines(&path);
    assert_eq!(checked(&lines, &[public(KEY)]), lines.len() as u64);
    let files = kinds(&lines).iter().filter(|kind| *kind == "file").count();
    assert!(files > 4, "{files}");
    let values = parsed(&lines);
    let first = values.iter().filter(|line| line["kind"] == "file");
    assert!(first.clone().all(|line| line["kept_from"] == 0));
    assert!(first.clone().all(|line| line["origin"] == values[0]["origin"]));
    let decisions = kinds(&lines).iter().filter(|kind| *kind == "decision").count();
    assert_eq!(decisions, 44);
}

#[test]
fn rotation_says_what_it_removed() {
    let folder = Folder::new();
    let path = folder.file("log");
    let config = AuditConfig {
        max_bytes: 1_200,
        keep: 2,
        ..config(&path)
    };
    let mut log = opened(&config).sink;
    for round in 0..20 {
        write(&mut *log, round..round + 1);
    }
    drop(log);
    let mut log = opened(&config).sink;
    write(&mut *log, 30..31);
    let kept = parsed(&lines(&path));
    assert_eq!(kept[0]["kind"], "file");
    let oldest = kept[0]["index"].as_u64().unwrap();
    assert!(oldest > 0);
    let newest = kept.iter().rfind(|line| line["kind"] == "file").unwrap();
    assert_eq!(newest["kept_from"], oldest);
}

#[test]
fn a_log_goes_on_after_a_crash_at_any_byte() {
    let folder = Folder::new();
    let (path, head) = (folder.file("log"), folder.file("log.checkpoint"));
    let config = config(&path);
    let mut log = opened(&config).sink;
    write(&mut *log, 0..3);
    write(&mut *log, 3..4);
    let signed = std::fs::read(&path).unwrap();
    let note = std::fs::read(&head).unwrap();
    log.write(b"{\"a\":4}\n{\"a\":5}\n").unwrap();
    drop(log);
    let whole = std::fs::read(&path).unwrap();
    // The checkpoint is the last line that was signed: without it the log is what its lines say, as long as none under it is
    // missing.
    let last = signed[..signed.len() - 1]
        .iter()
        .rposition(|&byte| byte == b'\n')
        .unwrap()
        + 1;
    for length in 0..=whole.len() {
        std::fs::write(&path, &whole[..length]).unwrap();
        std::fs::write(&head, &note).unwrap();
        let reopened = open(&config);
        // A line is there without its end as well.
        if length + 1 < last {
            let fault = reopened.err().expect("the log is cut off").to_string();
            assert!(fault.contains("audit verify"), "{length}: {fault}");
            continue;
        }
        let mut sink = reopened.unwrap().sink;
        write(&mut *sink, 9..10);
        let lines = lines(&path);
        assert_eq!(checked(&lines, &[public(KEY)]), lines.len() as u64, "{length}");
        let unsigned = kinds_of_whole(&lines).contains(&"resume".to_owned());
        assert_eq!(
            unsigned,
            length != signed.len() && length + 1 != signed.len(),
            "{length} of {}, {last}: {lines:#?}",
            signed.len()
        );
    }
}

/// The kinds of lines that are JSON: a crash leaves one that is not.
fn kinds_of_whole(lines: &[Vec<u8>]) -> Vec<String> {
    lines
        .iter()
        .filter_map(|line| serde_json::from_slice::<Value>(line).ok())
        .filter_map(|line| line["kind"].as_str().map(str::to_owned))
        .collect()
}

#[test]
fn a_changed_end_is_refused_or_begins_another_log() {
    let folder = Folder::new();
    let path = folder.file("log");
    let required = config(&path);
    let mut log = opened(&required).sink;
    write(&mut *log, 0..3);
    drop(log);
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, text.replace("\"a\":1", "\"a\":7")).unwrap();
    let fault = open(&required).err().unwrap().to_string();
    assert!(fault.contains("disagree with the newest checkpoint"), "{fault}");
    let mut opened = opened(&AuditConfig {
        mode: AuditMode::BestEffort,
        ..required.clone()
    });
    assert!(opened.broken.unwrap().contains("disagree"));
    write(&mut *opened.sink, 0..1);
    let begun = std::fs::read_to_string(&path).unwrap();
    let first: Value = serde_json::from_str(begun.lines().next().unwrap()).unwrap();
    assert!(first["break"].as_str().unwrap().contains("disagree"));
    let old: Value = serde_json::from_str(text.lines().next().unwrap()).unwrap();
    assert_ne!(first["origin"], old["origin"]);
    let before = Checkpoint::open(first["before"].as_str().unwrap(), &[public(KEY)]).unwrap();
    assert_eq!(before.origin, old["origin"].as_str().unwrap());
    assert!(folder.file("log.1").exists(), "the old file is evidence");
    drop(opened.sink);
    open(&required).unwrap();
}

#[test]
fn a_log_that_is_gone_is_not_begun_anew() {
    let folder = Folder::new();
    let path = folder.file("log");
    let config = config(&path);
    write(&mut *opened(&config).sink, 0..3);
    std::fs::remove_file(&path).unwrap();
    let fault = open(&config).err().unwrap().to_string();
    assert!(fault.contains("it is gone"), "{fault}");
}

#[test]
fn a_plain_log_is_set_aside() {
    let folder = Folder::new();
    let path = folder.file("log");
    std::fs::write(&path, "{\"a\":1}\n").unwrap();
    let mut log = opened(&config(&path)).sink;
    write(&mut *log, 0..1);
    assert_eq!(
        std::fs::read_to_string(folder.file("log.1")).unwrap(),
        "{\"a\":1}\n"
    );
    assert!(
        std::fs::read_to_string(&path)
            .unwrap()
            .starts_with("{\"kind\":\"file\"")
    );
}

#[test]
fn another_key_goes_on_only_with_the_one_before_it() {
    let folder = Folder::new();
    let path = folder.file("log");
    let before = config(&path);
    write(&mut *opened(&before).sink, 0..2);
    let mut next = before.clone();
    let signing = next.signing.as_mut().unwrap();
    signing.key = KeyPem(pem(NEXT_KEY));
    let fault = open(&next).err().unwrap().to_string();
    assert!(fault.contains("is not the one of the file"), "{fault}");
    next.signing.as_mut().unwrap().public_key = None;
    let fault = open(&next).err().unwrap().to_string();
    assert!(fault.contains("not signed by this audit key"), "{fault}");
    let signing = next.signing.as_mut().unwrap();
    let bytes: [u8; 32] = known_public(KEY);
    signing.former_keys = vec![bytes];
    signing.statements = vec!["the statement".to_owned()];
    write(&mut *opened(&next).sink, 2..3);
    write(&mut *opened(&next).sink, 3..4);
    let lines = lines(&path);
    checked(&lines, &[public(KEY), public(NEXT_KEY)]);
    let statements: Vec<Value> = parsed(&lines)
        .into_iter()
        .filter(|line| line["kind"] == "key")
        .collect();
    assert_eq!(statements.len(), 1);
    assert_eq!(statements[0]["statement"], "the statement");
}

/// The public key of the first test key, from RFC 8032.
fn known_public(key: &str) -> [u8; 32] {
    assert_eq!(key, KEY);
    let hex = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a";
    std::array::from_fn(|index| u8::from_str_radix(&hex[2 * index..2 * index + 2], 16).unwrap())
}

#[test]
fn an_expired_key_signs_nothing_and_keeps_required_logs_from_being_written() {
    let folder = Folder::new();
    let mut config = config(&folder.file("log"));
    config.signing.as_mut().unwrap().checkpoint_interval_ms = 0;
    for mode in [AuditMode::Required, AuditMode::BestEffort] {
        config.mode = mode;
        config.signing.as_mut().unwrap().expires_unix_s = None;
        let mut sink = opened(&config).sink;
        write(sink.as_mut(), 0..2);
        drop(sink);
        let signed = checked(&lines(&folder.file("log")), &[public(KEY)]);
        config.signing.as_mut().unwrap().expires_unix_s = Some(1);
        let mut sink = opened(&config).sink;
        sink.write(b"{\"a\":9}\n").unwrap();
        assert!(!sink.attest(Missing::default(), true).unwrap());
        assert_eq!(checked(&lines(&folder.file("log")), &[public(KEY)]), signed);
        match mode {
            AuditMode::Required => {
                assert!(sink.tend().unwrap_err().to_string().contains("has expired"));
                assert_eq!(sink.complaint(), None);
            }
            AuditMode::BestEffort => {
                sink.tend().unwrap();
                let complaint = sink.complaint().unwrap();
                assert_eq!(complaint.event, "audit_key_expired");
                assert!(complaint.error.contains("not signed"));
                assert_eq!(sink.complaint(), None, "it is told once");
            }
        }
    }
    // The next key, or a later end, signs what waits.
    config.signing.as_mut().unwrap().expires_unix_s = Some(u64::MAX);
    write(opened(&config).sink.as_mut(), 3..4);
    let all = lines(&folder.file("log"));
    assert!(checked(&all, &[public(KEY)]) + 1 >= all.len() as u64);
}

#[test]
fn a_file_that_others_moved_or_emptied_is_followed_by_one_that_goes_on() {
    let folder = Folder::new();
    let path = folder.file("log");
    let mut log = opened(&config(&path)).sink;
    write(&mut *log, 0..2);
    std::fs::rename(&path, folder.file("log.1")).unwrap();
    log.tend().unwrap();
    write(&mut *log, 2..3);
    std::fs::copy(&path, folder.file("copy")).unwrap();
    // As copytruncate does.
    std::fs::OpenOptions::new()
        .write(true)
        .open(&path)
        .unwrap()
        .set_len(0)
        .unwrap();
    log.tend().unwrap();
    write(&mut *log, 3..4);
    let mut all = lines(&folder.file("log"));
    let rest = all.split_off(4);
    all.extend(lines_of(&folder.file("copy")));
    all.extend(rest);
    assert_eq!(checked(&all, &[public(KEY)]), all.len() as u64);
}

#[test]
fn only_files_are_signed() {
    let streams = AuditConfig {
        target: AuditTarget::Stdout,
        ..config(Path::new("-"))
    };
    assert!(open(&streams).err().unwrap().to_string().contains("needs a file"));
    assert!(open(&config(Path::new("/dev/null"))).is_err());
}

#[test]
fn a_checkpoint_waits_for_its_lines_to_be_on_the_disk() {
    let folder = Folder::new();
    let path = folder.file("log");
    let mut opened = opened(&AuditConfig {
        sync_interval_ms: 1_000,
        ..config(&path)
    });
    write(&mut *opened.sink, 0..1);
    let head = opened.head.unwrap();
    assert_eq!(head.get(), None);
    assert!(!folder.file("log.checkpoint").exists());
    opened.sink.sync().unwrap();
    assert_eq!(head.get().unwrap().size, 2);
    assert!(folder.file("log.checkpoint").exists());
}

#[test]
fn admin_changes_under_a_checkpoint_are_known() {
    let folder = Folder::new();
    let mut opened = opened(&config(&folder.file("log")));
    opened
        .sink
        .write(b"{\"kind\":\"admin\",\"number\":41,\"action\":\"create\"}\n")
        .unwrap();
    write(&mut *opened.sink, 0..1);
    assert_eq!(opened.head.unwrap().get().unwrap().admin_number, Some(41));
}

#[test]
fn a_long_log_is_read_from_its_end() {
    let folder = Folder::new();
    let path = folder.file("log");
    let config = config(&path);
    let mut log = opened(&config).sink;
    let line = format!("{{\"long\":\"{}\"}}\n", "x".repeat(8_000));
    for _ in 0..12 {
        log.write(line.repeat(60).as_bytes()).unwrap();
        log.attest(Missing::default(), true).unwrap();
    }
    drop(log);
    let before = lines(&path);
    assert!(
        parsed(&before)
            .iter()
            .any(|line| line["kind"] == "checkpoint" && line["hashes"].is_array())
    );
    // What is far from the end is not read: verification finds it, and no start waits for it.
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, text.replacen("xx", "yy", 1)).unwrap();
    let mut log = opened(&config).sink;
    write(&mut *log, 0..1);
    let after = lines(&path);
    let fixed: Vec<Vec<u8>> = before.iter().chain(&after[before.len()..]).cloned().collect();
    checked(&fixed, &[public(KEY)]);
}
