//! Notes and checkpoints, against the examples of their specifications.

#![expect(
    clippy::unwrap_used,
    reason = "the keys of the helpers are constants; clippy takes only test functions for tests"
)]

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use callgate_ledger::{Checkpoint, Frontier, KeyError, PublicKey, SigningKey, leaf_hash};

/// Made by `openssl genpkey -algorithm ed25519`.
const PEM: &str = "-----BEGIN PRIVATE KEY-----\n\
    MC4CAQAwBQYDK2VwBCIEIJ1hsZ3v/VpguoRK9JLsLMREScVpezJpGXA7rAMcrn9g\n\
    -----END PRIVATE KEY-----\n";
/// Its public key, from RFC 8032, section 7.1, test 1.
const PUBLIC: &str = "11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=";

fn key() -> SigningKey {
    SigningKey::from_pem(PEM.as_bytes()).unwrap()
}

fn public(base64: &str) -> PublicKey {
    PublicKey::new(STANDARD.decode(base64).unwrap().try_into().unwrap())
}

#[test]
fn the_example_of_the_specification_verifies() {
    let name = "example.com/foo";
    let note = "This is an example message.\n\n\u{2014} example.com/foo Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=\n";
    let verifier = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k";
    let typed: [u8; 33] = STANDARD
        .decode(verifier.rsplit('+').next().unwrap())
        .unwrap()
        .try_into()
        .unwrap();
    let key = PublicKey::new(typed[1..].try_into().unwrap());
    assert_eq!(key.verifier_key(name), verifier);
    assert_eq!(key.open(name, note), Some("This is an example message.\n"));
    assert_eq!(key.open("example.com/bar", note), None);
    assert_eq!(public(PUBLIC).open(name, note), None);
}

#[test]
fn a_key_of_openssl_signs_and_verifies() {
    let key = key();
    assert_eq!(key.public(), public(PUBLIC));
    let note = key.sign("host/1", "first\n\nsecond\n");
    assert_eq!(key.public().open("host/1", &note), Some("first\n\nsecond\n"));
    assert!(format!("{key:?}").starts_with("SigningKey(PublicKey("));
}

#[test]
fn signatures_of_others_are_ignored_and_wrong_ones_are_not() {
    let key = key();
    let note = key.sign("a", "text\n");
    let other = note.replace("\u{2014} a ", "\u{2014} b ");
    let both = format!("{note}{}", other.rsplit_once("\n\n").unwrap().1);
    assert_eq!(key.public().open("a", &both), Some("text\n"));
    let mut wrong = note.clone();
    let place = wrong.len() - 8;
    let replaced = if wrong.as_bytes()[place] == b'A' { "B" } else { "A" };
    wrong.replace_range(place..=place, replaced);
    let spoilt = format!("{note}{}", wrong.rsplit_once("\n\n").unwrap().1);
    assert_eq!(key.public().open("a", &spoilt), None);
    assert_eq!(key.public().open("a", &note.replace("text", "texts")), None);
    assert_eq!(key.public().open("a", "text\n"), None);
    assert_eq!(key.public().open("a", "text\n\n"), None);
}

#[test]
fn a_checkpoint_is_read_as_it_was_written() {
    let key = key();
    let mut tree = Frontier::default();
    tree.append(leaf_hash(b"entry"));
    let checkpoint = Checkpoint {
        origin: "host/1f".to_owned(),
        size: tree.size(),
        root: tree.root(),
    };
    let note = checkpoint.sign(&key);
    assert_eq!(Checkpoint::open(&note, &[key.public()]), Some(checkpoint.clone()));
    assert_eq!(
        Checkpoint::open(&note, &[PublicKey::new([9; 32]), key.public()]),
        Some(checkpoint)
    );
    assert_eq!(Checkpoint::open(&note, &[]), None);
    for (before, after) in [("\n1\n", "\n2\n"), ("\n1\n", "\n01\n"), ("host/1f", "host/2f")] {
        assert_eq!(
            Checkpoint::open(&note.replace(before, after), &[key.public()]),
            None
        );
    }
    for text in [
        "host\n01\n",
        "host\n1\nx\n",
        "host\n+1\n",
        "host\n1\nAAAA\nmore\n",
        "\n1\nAAAA\n",
    ] {
        assert_eq!(
            Checkpoint::open(&key.sign("host", text), &[key.public()]),
            None,
            "{text}"
        );
    }
}

#[test]
fn other_keys_are_refused() {
    assert_eq!(SigningKey::from_pem(b"no key").err(), Some(KeyError::Pem));
    let damaged = PEM.replace("MC4CAQAwBQYDK2Vw", "MC4CAQAwBQYDK2Vv");
    assert_eq!(
        SigningKey::from_pem(damaged.as_bytes()).err(),
        Some(KeyError::Kind)
    );
}
