//! The format of tokens: what is made is read again, and nothing else is.

use proptest::{prelude::any, test_runner::TestRunner};
use service::token::{SCAN_PATTERN, Token, TokenKind, mint, public_part};
use std::collections::BTreeSet;
use tests::{Backend, TestApp, run};
use uuid::Uuid;

const ALPHABET: &str = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

const KINDS: [(TokenKind, &str); 7] = [
    (TokenKind::VirtualKey, "tk"),
    (TokenKind::Admin, "tka"),
    (TokenKind::Gateway, "tkg"),
    (TokenKind::Refresh, "tkr"),
    (TokenKind::Device, "tkd"),
    (TokenKind::Invitation, "tki"),
    (TokenKind::PasswordReset, "tkp"),
];

/// Big-endian base62, as a reader of the documentation would write it.
fn base62(mut number: u128, width: usize) -> String {
    let mut text = Vec::new();
    for _ in 0..width {
        text.push(ALPHABET.as_bytes()[(number % 62) as usize] as char);
        number /= 62;
    }
    assert_eq!(number, 0);
    text.iter().rev().collect()
}

/// CRC-32 (IEEE), bit by bit.
fn crc32(text: &str) -> u32 {
    !text.bytes().fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| (crc >> 1) ^ (0xedb8_8320 * (crc & 1)))
    })
}

/// A token with the checksum that its text asks for.
fn sealed(signed: &str) -> String {
    format!("{signed}_{}", base62(crc32(signed).into(), 6))
}

/// A token kept in its form: `tk[adgirp]?_22_43_6`.
fn well_formed(text: &str) -> bool {
    let parts: Vec<&str> = text.split('_').collect();
    let base62 = |part: &str, width| part.len() == width && part.chars().all(|c| ALPHABET.contains(c));
    parts.len() == 4
        && KINDS.iter().any(|(_, prefix)| *prefix == parts[0])
        && base62(parts[1], 22)
        && base62(parts[2], 43)
        && base62(parts[3], 6)
}

#[tokio::test]
async fn what_is_made_is_read_again() {
    run(Backend::Sqlite, async |app: TestApp| {
        let any_token = (any::<[u8; 16]>(), 0..KINDS.len());
        let property = |(id, kind): ([u8; 16], usize)| {
            let (id, (kind, prefix)) = (Uuid::from_bytes(id), KINDS[kind]);
            let minted = mint(&app.system, kind, id);
            let text = minted.token.expose().to_owned();
            assert!(well_formed(&text), "{text}");
            let signed = &text[..text.len() - 7];
            assert_eq!(sealed(signed), text);
            assert!(text.starts_with(&format!("{prefix}_{}_", base62(id.as_u128(), 22))));
            assert!(text.starts_with(&public_part(kind, id)));
            assert!(signed.ends_with(&minted.last4));
            let read = Token::parse(&text).unwrap();
            assert_eq!((read.kind(), read.id(), read.signed_part()), (kind, id, signed));
            assert!(app.system.secrets.matches(signed, minted.pepper_version, &minted.digest.0));
            for (other, _) in KINDS {
                assert_eq!(Token::parse_kind(&text, other).is_some(), other == kind);
            }
            Ok(())
        };
        TestRunner::default().run(&any_token, property).unwrap();
    })
    .await;
}

#[tokio::test]
async fn every_corruption_of_one_character_is_refused() {
    run(Backend::Sqlite, async |app: TestApp| {
        for (kind, _) in KINDS {
            let text = mint(&app.system, kind, app.system.entropy.id::<()>(app.clock.now()).uuid());
            let text = text.token.expose().to_owned();
            for at in 0..text.len() {
                let (before, after) = (&text[..at], &text[at + 1..]);
                assert!(Token::parse(&format!("{before}{after}")).is_none(), "without {at}");
                for other in ALPHABET.chars().chain("_- \0ü".chars()) {
                    if !text[at..].starts_with(other) {
                        assert!(
                            Token::parse(&format!("{before}{other}{after}")).is_none(),
                            "{other:?} at {at}"
                        );
                    }
                    let inserted = format!("{before}{other}{}", &text[at..]);
                    assert!(Token::parse(&inserted).is_none(), "{other:?} before {at}");
                }
            }
        }
    })
    .await;
}

#[test]
fn the_edges_of_base62_are_kept() {
    let zeros = "0".repeat(43);
    let with = |id: &str, secret: &str| Token::parse(&sealed(&format!("tk_{id}_{secret}")));
    assert_eq!(with(&"0".repeat(22), &zeros).unwrap().id(), Uuid::nil());
    assert_eq!(with(&base62(1, 22), &zeros).unwrap().id().as_u128(), 1);
    assert_eq!(with(&base62(u128::MAX, 22), &zeros).unwrap().id(), Uuid::max());
    // One more than fits, and the greatest that can be written.
    let over: String = "7n42DGM5Tflk9n8mt7Fhc8".into();
    assert!(over > base62(u128::MAX, 22));
    assert!(with(&over, &zeros).is_none());
    assert!(with(&"z".repeat(22), &zeros).is_none());
    assert!(with(&base62(1, 22), &"z".repeat(43)).is_none());
    assert!(with(&base62(1, 21), &zeros).is_none());
    assert!(with(&base62(1, 22), &zeros[1..]).is_none());
}

#[test]
fn what_is_no_token_is_refused() {
    let good = sealed(&format!("tk_{}_{}", base62(7, 22), "0".repeat(43)));
    assert!(Token::parse(&good).is_some());
    let other_kind = sealed(&format!("tkx_{}_{}", base62(7, 22), "0".repeat(43)));
    let no_kind = sealed(&format!("_{}_{}", base62(7, 22), "0".repeat(43)));
    let more = sealed(&format!("tk_{}_{}_x", base62(7, 22), "0".repeat(43)));
    let upper = good.to_uppercase();
    let (spaced, doubled, padded) = (format!(" {good}"), format!("{good}{good}"), format!("{good}\n"));
    let huge = "tk_".repeat(1_000_000);
    for text in [
        "",
        "_",
        "____",
        "tk",
        "tk___",
        &other_kind,
        &no_kind,
        &more,
        &upper,
        &spaced,
        &doubled,
        &padded,
        &huge,
    ] {
        assert!(Token::parse(text).is_none());
    }
}

#[test]
fn kinds_are_disjoint_and_the_published_pattern_names_them_all() {
    let prefixes: BTreeSet<&str> = KINDS.iter().map(|(kind, _)| kind.prefix()).collect();
    assert_eq!(prefixes, KINDS.iter().map(|(_, prefix)| *prefix).collect());
    assert_eq!(prefixes.len(), KINDS.len());
    let (_, class) = SCAN_PATTERN.split_once("tk[").unwrap();
    let (class, rest) = class.split_once("]?").unwrap();
    let letters: BTreeSet<String> = class.chars().map(|letter| format!("tk{letter}")).collect();
    assert!(prefixes.iter().filter(|prefix| **prefix != "tk").all(|prefix| letters.contains(*prefix)));
    assert_eq!(letters.len(), prefixes.len() - 1);
    assert_eq!(rest, r"_[0-9A-Za-z]{22}_[0-9A-Za-z]{43}_[0-9A-Za-z]{6}\b");
}
