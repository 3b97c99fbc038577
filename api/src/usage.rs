//! What is wrong with a command line, in words that repeat nothing of it but the names of flags: what is left over there may be a
//! secret, such as half of a password that the shell has split.

use crate::{config::LogFormat, serve::logging};
use clap::{
    Error,
    error::{ContextKind, ContextValue, ErrorKind},
};
use serde_json::Map;
use std::process::ExitCode;

/// The exit code of a command line that is not understood.
const MISUSE: u8 = 2;

/// Prints what was asked for (help, the version), or says what is wrong.
pub fn explain(error: &Error, format: LogFormat) -> ExitCode {
    if matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) {
        // A closed standard output is no reason to fail.
        let _ = error.print();
        return ExitCode::SUCCESS;
    }
    let message = format!("{}; see `tollkeeper --help`", fault(error));
    logging::complain(format, &message, &Map::new());
    ExitCode::from(MISUSE)
}

fn fault(error: &Error) -> String {
    let argument = argument(error);
    let at = argument.as_deref().map_or_else(|| "an argument".to_owned(), |name| format!("`{name}`"));
    match error.kind() {
        ErrorKind::UnknownArgument => unknown(argument.as_deref()),
        ErrorKind::InvalidSubcommand => "there is no such command".into(),
        ErrorKind::MissingSubcommand | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            "a command is missing".into()
        }
        ErrorKind::MissingRequiredArgument => format!("{at} is required"),
        ErrorKind::InvalidValue | ErrorKind::ValueValidation => match valid(error) {
            Some(values) => format!("the value of {at} must be one of {values}"),
            None => format!("the value of {at} is missing or not valid"),
        },
        ErrorKind::ArgumentConflict => format!("{at} can be given once, and not with every other"),
        ErrorKind::InvalidUtf8 => "an argument is not UTF-8".into(),
        _ => format!("{at} is not as expected"),
    }
}

fn unknown(name: Option<&str>) -> String {
    let secret = |name: &&str| ["--encryption-key", "--key-pepper", "--token-signing-key"].contains(name);
    match name {
        Some(name) if name.ends_with("-password") || name.ends_with("-url") || secret(&name) => {
            let variable = name.trim_start_matches('-').replace('-', "_").to_uppercase();
            format!(
                "`{name}` is no flag, for flags are seen by every process: set TOLLKEEPER_{variable} or TOLLKEEPER_{variable}_FILE"
            )
        }
        Some(name) => format!("there is no flag `{name}`"),
        None => "there is an argument too many".into(),
    }
}

/// The flag or argument that is meant, without what belongs to it.
fn argument(error: &Error) -> Option<String> {
    let text = match error.get(ContextKind::InvalidArg)? {
        ContextValue::String(text) => text.as_str(),
        ContextValue::Strings(texts) => texts.first()?.as_str(),
        _ => return None,
    };
    let name = text.split(['=', ' ']).next()?;
    let is_name = |name: &str| name.len() <= 40 && name.bytes().all(|b| b.is_ascii_lowercase() || b == b'-');
    let placeholder = name.strip_prefix('<').and_then(|name| name.strip_suffix('>'));
    // What stands in angle brackets is one of ours, unless clap does not know it.
    let ours = placeholder.is_some() && error.kind() != ErrorKind::UnknownArgument;
    (ours || name.starts_with("--") && is_name(name)).then(|| name.to_owned())
}

fn valid(error: &Error) -> Option<String> {
    match error.get(ContextKind::ValidValue)? {
        ContextValue::Strings(values) if !values.is_empty() => Some(values.join(", ")),
        _ => None,
    }
}
