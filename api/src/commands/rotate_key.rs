//! `tollkeeper rotate-key`: everything is wrapped with the active encryption key, and older ones are retired, while instances
//! serve. It may be killed at any moment and run again; it says in sentences what it did and what is left.

use crate::config::Config;
use anyhow::{Context, bail};
use service::{
    access,
    vault::rotate::{self, Renewal, Report},
};

/// What to rotate.
#[derive(clap::Args)]
pub struct Options {
    /// Also give every organization a new data key, and seal its secrets anew.
    #[arg(long)]
    data_keys: bool,
    /// Give a new data key to this organization alone, by id or slug.
    #[arg(long, requires = "data_keys")]
    organization: Option<String>,
}

/// Runs it.
pub async fn run(config: &Config, options: &Options) -> anyhow::Result<()> {
    let system = super::installation(config).await?;
    let renewal = match &options.organization {
        _ if !options.data_keys => Renewal::Nobody,
        None => Renewal::Everybody,
        Some(text) => {
            let organization = access::organization_id(&system, text).await?;
            Renewal::One(organization.with_context(|| format!("there is no organization {text}"))?)
        }
    };
    let report = rotate::rotate(&system, renewal, &|| Ok(())).await?;
    for sentence in done(&report, renewal).into_iter().chain(left(&report)) {
        say!("{sentence}");
    }
    if !report.is_complete() {
        bail!("not everything could be done; run it again");
    }
    Ok(())
}

fn keys(count: u64) -> String {
    if count == 1 { "1 data key".into() } else { format!("{count} data keys") }
}

fn done(report: &Report, renewal: Renewal) -> Vec<String> {
    let active = report.active;
    let mut sentences = vec![match report.wrapped {
        0 => format!("No data key needed to be wrapped anew: version {active} of encryption_key is active."),
        wrapped => format!("Wrapped {} anew with version {active} of encryption_key.", keys(wrapped)),
    }];
    if renewal != Renewal::Nobody {
        sentences.push(format!("Made {} to seal new secrets with.", keys(report.renewed)));
    }
    if report.sealed > 0 {
        sentences.push(format!("Sealed {} secrets anew.", report.sealed));
    }
    if report.destroyed > 0 {
        sentences.push(format!("Destroyed {} that sealed nothing any more.", keys(report.destroyed)));
    }
    let retired = report.retired.iter();
    sentences.extend(retired.map(|version| {
        format!(
            "Retired version {version} of encryption_key: take it out of the configuration of every instance."
        )
    }));
    sentences
}

fn left(report: &Report) -> Vec<String> {
    let kept = report.kept.iter().map(|(version, count)| {
        format!(
            "Kept version {version} of encryption_key: {} wrapped with it, perhaps by an instance on which it is still the active one.",
            if *count == 1 { "1 data key is".into() } else { format!("{count} data keys are") }
        )
    });
    let in_use = report.in_use.iter().map(|(key, count)| {
        format!("Kept the retired data key {key}: {count} secrets are sealed with it, and are in use or do not open.")
    });
    let broken = report.broken.iter().map(|what| format!("Damaged: {what}."));
    let newer = (report.newer > 0).then(|| {
        format!(
            "Left {} that a newer version of encryption_key wraps: put the newest one first in the configuration.",
            keys(report.newer)
        )
    });
    kept.chain(in_use).chain(broken).chain(newer).collect()
}
