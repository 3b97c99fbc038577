//! Every secret setting, malformed in every way and in every layer, through every command that reads it: no part of it is
//! printed, the setting is named, and nothing is tried with it.

use base64::{Engine, engine::general_purpose::STANDARD};
use futures_util::{StreamExt, stream};
use std::{fs, os::unix::fs::PermissionsExt};
use tests::{
    Backend,
    server::{Finished, Installation},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

/// What must not be printed, in whichever case.
const CANARY: &str = "hunter2canary";

const COMMANDS: [&[&str]; 6] = [
    &["serve"],
    &["doctor"],
    &["migrate", "status"],
    &["admin", "create-user", "a@example.com"],
    &["rotate-key"],
    &["health"],
];

const URLS: [&str; 23] = [
    "postgres://u:hunter2canary#x@127.0.0.1:1/d",
    "postgres://u:#hunter2canary@127.0.0.1:1/d",
    "postgres://u:1/hunter2canary@127.0.0.1:1/d",
    "postgres://u:hunter2canary/x@127.0.0.1:1/d",
    "postgres://u:hunter2canary?x@127.0.0.1:1/d",
    "postgres://u:1?hunter2canary@127.0.0.1:1/d",
    "postgres://u:1?hunter2canary=1@127.0.0.1:1/d",
    "postgres://u:1?sslmode=hunter2canary@127.0.0.1:1/d",
    "postgres://u:hunter2canary%@127.0.0.1:1/d",
    "postgres://u:hunter2canary%ff@127.0.0.1:1/d",
    "postgres://u:hunter2canary x@127.0.0.1:1/d",
    "postgres://u:p@127.0.0.1:hunter2canary/d",
    "postgres://u:p@127.0.0.1:1/d?sslmode=hunter2canary",
    "postgres://u:p@127.0.0.1:1/d?hunter2canary=1",
    "postgres://u:p@[hunter2canary/d",
    "postgres:/u:hunter2canary@127.0.0.1/d",
    "postgres//u:hunter2canary@127.0.0.1/d",
    "Postgres://u:hunter2canary@127.0.0.1/d",
    "mysql://u:hunter2canary@127.0.0.1/d",
    "hunter2canary",
    "sqlite://:memory:hunter2canary",
    "sqlite://a b/hunter2canary",
    "sqlite:hunter2canary?mode=hunter2canary",
];

const KEYS: [&str; 6] = [
    "hunter2canary",
    "hunter2canary:AAAA",
    "1:hunter2canary",
    "1:aHVudGVyMmNhbmFyeQ==",
    "1:aHVudGVyMmNhbmFyeWh1bnRlcjJjYW5hcnlodW50ZXI=,1:hunter2canary",
    "0:aHVudGVyMmNhbmFyeWh1bnRlcjJjYW5hcnlodW50ZXI=",
];

const FEEDS: [&str; 4] =
    ["hunter2canary", "ftp://u:hunter2canary@h/", "https://u:hunter2canary @h/", "https:///hunter2canary"];

/// The secret settings with values that are not acceptable.
fn malformed() -> Vec<(&'static str, &'static str)> {
    let mut all: Vec<_> = URLS.into_iter().map(|url| ("DATABASE_URL", url)).collect();
    for name in ["ENCRYPTION_KEY", "KEY_PEPPER", "TOKEN_SIGNING_KEY"] {
        all.extend(KEYS.into_iter().map(|key| (name, key)));
    }
    all.extend(FEEDS.into_iter().map(|url| ("PRICE_FEED_URL", url)));
    // Too long to be a password.
    all.push(("BOOTSTRAP_PASSWORD", &*CANARY.repeat(20).leak()));
    all
}

/// Where a value is put.
#[derive(Debug, Clone, Copy)]
enum Layer {
    Environment,
    SecretFile,
    /// In place of the name of a file.
    NameOfAFile,
    Toml,
    TomlWithoutQuotes,
    Flag,
}

async fn run(layer: Layer, name: &str, value: &str, command: &[&str]) -> (Installation, Finished) {
    let mut installation = Installation::new(Backend::Sqlite).await;
    installation.set("BOOTSTRAP_EMAIL", "a@example.com");
    // What reaches the database says so in every detail.
    installation.set("LOG", "trace");
    let mut arguments: Vec<String> = command.iter().map(|word| (*word).to_owned()).collect();
    let file = installation.directory().join("value");
    match layer {
        Layer::Environment => installation.set(name, value),
        Layer::SecretFile => {
            fs::write(&file, format!("{value}\r\n")).unwrap();
            installation.set(&format!("{name}_FILE"), file.to_str().unwrap());
        }
        Layer::NameOfAFile => installation.set(&format!("{name}_FILE"), value),
        Layer::Toml | Layer::TomlWithoutQuotes => {
            let quote = if matches!(layer, Layer::Toml) { "\"" } else { "" };
            fs::write(&file, format!("log = \"info\"\n{} = {quote}{value}{quote}\n", name.to_lowercase()))
                .unwrap();
            arguments.extend(["--config".to_owned(), file.to_str().unwrap().to_owned()]);
        }
        Layer::Flag => {
            arguments.extend([format!("--{}", name.to_lowercase().replace('_', "-")), value.to_owned()]);
        }
    }
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let finished = installation.run(&arguments).await;
    (installation, finished)
}

#[tokio::test]
async fn no_part_of_a_malformed_secret_is_printed() {
    let layers = [
        Layer::Environment,
        Layer::SecretFile,
        Layer::NameOfAFile,
        Layer::Toml,
        Layer::TomlWithoutQuotes,
        Layer::Flag,
    ];
    let mut cases = Vec::new();
    for (at, (name, value)) in malformed().into_iter().enumerate() {
        for layer in layers {
            // Each value through each layer, and each layer through each command.
            let commands =
                if matches!(layer, Layer::Environment) { 0..COMMANDS.len() } else { at % 6..at % 6 + 1 };
            cases.extend(commands.map(|command| (layer, name, value, COMMANDS[command])));
        }
    }
    assert!(cases.len() > 400, "{}", cases.len());
    let runs = cases.into_iter().map(|case| async move {
        let (layer, name, value, command) = case;
        let (installation, finished) = run(layer, name, value, command).await;
        let said = format!("{}{}", finished.out, finished.errors);
        assert!(!said.to_lowercase().contains(CANARY), "{case:?}:\n{said}");
        assert!(!said.contains("aHVudGVy"), "{case:?}:\n{said}");
        assert!(!finished.status.success(), "{case:?}:\n{said}");
        let spelled = [name.to_owned(), name.to_lowercase(), name.to_lowercase().replace('_', "-")];
        let place = matches!(layer, Layer::TomlWithoutQuotes) && said.contains("line 2, column");
        assert!(place || spelled.iter().any(|name| said.contains(name)), "{case:?}:\n{said}");
        let left = fs::read_dir(installation.directory()).unwrap().map(|entry| entry.unwrap().file_name());
        let left: Vec<_> = left.filter(|name| name != "value").collect();
        assert!(left.is_empty(), "{case:?} left {left:?}");
    });
    stream::iter(runs).buffer_unordered(4).collect::<Vec<()>>().await;
}

#[tokio::test]
async fn an_unescaped_character_is_told_with_what_to_do() {
    for (value, part) in [
        ("postgres://u:hunter2canary#x@h/d", "a # is not allowed as it is, at character 27"),
        ("postgres://u:hunter2canary/x@h/d", "the port is not a number from 1 to 65535, at character 14"),
        (
            "postgres://u:12/hunter2canary@h/d",
            "the database's name contains a special character, at character 30",
        ),
        ("postgres://u:12?hunter2canary@h/d", "a parameter is not known, at character 17"),
    ] {
        let (_, finished) = run(Layer::Environment, "DATABASE_URL", value, &["serve"]).await;
        let errors = finished.refused();
        assert!(errors.contains(&format!("TOLLKEEPER_DATABASE_URL (environment): {part}; ")), "{errors}");
        assert!(
            errors.contains("percent-encode what is special: %23 for #, %2F for /, %3F for ?"),
            "{errors}"
        );
    }
}

#[tokio::test]
async fn a_secret_on_the_command_line_is_not_repeated() {
    let installation = Installation::new(Backend::Sqlite).await;
    for arguments in [
        &["serve", CANARY][..],
        &["serve", "--key-pepper", CANARY],
        &["serve", "--key-pepper=hunter2canary"],
        &["serve", "--hunter2canary"],
        &["--database-url", "postgres://u:a", "hunter2canary@h/d"],
        &["migrate", "down", "--steps", CANARY],
        &["admin", "create-user", "a@example.com", "--role", CANARY],
        &[CANARY],
    ] {
        let finished = installation.run(arguments).await;
        assert_eq!(finished.status.code(), Some(2), "{arguments:?}: {finished:?}");
        let said = format!("{}{}", finished.out, finished.errors);
        assert!(!said.contains(CANARY) && said.contains("--help"), "{arguments:?}: {said}");
    }
    let told = installation.run(&["serve", "--key-pepper", CANARY]).await.errors;
    assert!(told.contains("set TOLLKEEPER_KEY_PEPPER or TOLLKEEPER_KEY_PEPPER_FILE"), "{told}");
    let told = installation.run(&["migrate", "down", "--steps", CANARY]).await.errors;
    assert!(told.contains("`--steps`"), "{told}");
    let told = installation.run(&["admin", "create-user", "a@b", "--role", "x"]).await.errors;
    assert!(told.contains("owner, admin, member"), "{told}");
}

#[tokio::test]
async fn the_files_beside_the_database_are_not_quoted() {
    let installation = Installation::new(Backend::Sqlite).await;
    installation.serve().await.kill();
    let file = installation.directory().join("tollkeeper.db.secrets");
    for text in ["key_pepper = hunter2canary\n", "key_pepper = \"hunter2canary\"\n", "hunter2canary\n"] {
        fs::write(&file, text).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
        for command in
            [&["serve", "--listen", "127.0.0.1:0"][..], &["doctor"], &["admin", "reset-link", "a@b"]]
        {
            let finished = installation.run(command).await;
            let said = format!("{}{}", finished.out, finished.errors);
            assert!(!finished.status.success() && !said.contains(CANARY), "{command:?}: {said}");
        }
    }
}

/// A Postgres that asks for the password in plain text, and what it is told.
async fn password_of(url: impl Fn(u16) -> String, command: &[&str]) -> (String, Finished) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let server = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut startup = vec![0; usize::try_from(stream.read_u32().await.unwrap()).unwrap() - 4];
        stream.read_exact(&mut startup).await.unwrap();
        // AuthenticationCleartextPassword.
        stream.write_all(b"R\0\0\0\x08\0\0\0\x03").await.unwrap();
        assert_eq!(stream.read_u8().await.unwrap(), b'p');
        let mut password = vec![0; usize::try_from(stream.read_u32().await.unwrap()).unwrap() - 4];
        stream.read_exact(&mut password).await.unwrap();
        // 28P01: the password is wrong.
        let fields = b"SFATAL\0VFATAL\0C28P01\0Mpassword authentication failed for user \"u\"\0\0";
        stream.write_u8(b'E').await.unwrap();
        stream.write_u32(u32::try_from(fields.len()).unwrap() + 4).await.unwrap();
        stream.write_all(fields).await.unwrap();
        String::from_utf8(password[..password.len() - 1].to_vec()).unwrap()
    });
    let mut installation = Installation::over(&url(port));
    installation.set("LOG", "trace");
    let key = STANDARD.encode([7; 32]);
    installation.set("KEY_PEPPER", &key);
    let finished = installation.run(command).await;
    assert!(!format!("{}{}", finished.out, finished.errors).contains(&key));
    (server.await.unwrap(), finished)
}

#[tokio::test]
async fn an_encoded_password_arrives_and_is_not_printed() {
    let password = "a#b/c?d@e:f%g[h]hunter2canary";
    let encoded = "a%23b%2Fc%3Fd%40e%3Af%25g%5Bh%5Dhunter2canary";
    for command in [&["serve", "--listen", "127.0.0.1:0"][..], &["doctor"], &["migrate", "status"]] {
        let url = |port| format!("postgres://u:{encoded}@127.0.0.1:{port}/d?sslmode=disable");
        let (arrived, finished) = password_of(url, command).await;
        assert_eq!(arrived, password, "{command:?}");
        let said = format!("{}{}", finished.out, finished.errors);
        assert!(!finished.status.success() && said.contains("refuses the user or the password"), "{said}");
        assert!(!said.contains(CANARY), "{command:?}: {said}");
    }
}
