//! What is asked of a new limit, and what every limit must meet. What a deployment cannot enforce yet is refused here: a
//! limit that is stored is a limit that holds.

use super::{SubjectId, UTC, amount::amount};
use crate::validate::Faults;
use entity::{
    id::TeamId,
    json::{Percentages, Texts},
    limit::ActiveModel,
    status::{Each, Metric, Mode, Period, SubjectKind},
};
use sea_orm::ActiveValue::Set;
use serde::Deserialize;
use utoipa::ToSchema;

fn one() -> i32 {
    1
}
fn block() -> Mode {
    Mode::Block
}

/// Declares a request with what every new limit states, behind what the request states itself.
macro_rules! limit_request {
    ($(#[$doc:meta])* $name:ident { $($own:tt)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Deserialize, ToSchema)]
        #[serde(deny_unknown_fields)]
        pub struct $name {
            $($own)*
            /// What is counted. Open calls (`concurrency`) go with the window `total`.
            pub metric: Metric,
            /// How long it counts before it begins anew, by the calendar in UTC; `request` = a cap on each call by itself.
            pub window: Period,
            /// The most, a decimal number in a string and not below zero: money in the currency's unit with at most nine
            /// digits after the point, or a whole number of calls or tokens.
            #[schema(pattern = r"^\d+(\.\d{1,9})?$", example = "500")]
            pub amount: String,
            /// So many windows at a time; more than one is not supported yet.
            #[serde(default = "one")]
            #[schema(default = 1, minimum = 1, maximum = 1)]
            pub window_count: i32,
            /// What comes of a call that does not fit; absent = it is blocked.
            #[serde(default = "block")]
            #[schema(default = "block")]
            pub mode: Mode,
            /// ISO 4217; only of a limit of cost. Absent or null = the organization's default currency.
            #[serde(default)]
            #[schema(example = "USD")]
            pub currency: Option<String>,
            /// Globs of the models whose calls are counted; absent or null = all.
            #[serde(default)]
            #[schema(min_items = 1, example = json!(["gpt-4o*"]))]
            pub models: Option<Texts>,
            /// The time zone in whose calendar windows begin and end; anything but UTC is not supported yet.
            #[serde(default)]
            #[schema(example = "UTC")]
            pub timezone: Option<String>,
            /// Count it for each of these under the subject; not supported yet.
            #[serde(default)]
            pub each: Option<Each>,
            /// Percentages at which somebody is told; not supported yet.
            #[serde(default)]
            pub alert_at: Option<Percentages>,
        }

        impl $name {
            /// What it states of the limit itself.
            fn terms(&self) -> Terms<'_> {
                Terms {
                    metric: self.metric,
                    window: self.window,
                    amount: &self.amount,
                    window_count: self.window_count,
                    mode: self.mode,
                    currency: self.currency.as_deref(),
                    models: self.models.as_ref(),
                    timezone: self.timezone.as_deref(),
                    each: self.each,
                    alert_at: self.alert_at.as_ref(),
                }
            }
        }
    };
}

limit_request! {
    /// A limit to make.
    NewLimit {
        /// What kind of thing is limited.
        pub subject_kind: SubjectKind,
        /// Which one, by an id of that kind; of a `member`, the person's.
        pub subject_id: SubjectId,
        /// The team in which a `member` is limited; required for that kind, and for no other.
        #[serde(default)]
        pub team_id: Option<TeamId>,
    }
}

limit_request! {
    /// A limit to make on a new key.
    NewKeyLimit {}
}

impl NewLimit {
    /// The row that it asks for, but for whose it is.
    pub(super) fn check(&self, faults: &mut Faults) -> ActiveModel {
        let fits = self.subject_id.kinds().contains(&self.subject_kind);
        faults.when(!fits, "/subject_id", "invalid_value", "must be the id of what subject_kind says");
        let of_member = self.subject_kind == SubjectKind::Member;
        let (named, message) = (self.team_id.is_some(), "a member is limited in a team");
        faults.when(of_member && !named, "/team_id", "required", message);
        faults.when(!of_member && named, "/team_id", "not_allowed", "goes with the subject_kind member only");
        self.terms().check("", faults)
    }

    /// Whether it names a person and no team: then nothing says where to look.
    pub(super) fn lacks_team(&self) -> bool {
        self.subject_kind == SubjectKind::Member && self.team_id.is_none()
    }
}

impl NewKeyLimit {
    /// The row that it asks for, but for whose it is; `at` is its place in the request.
    pub(super) fn check(&self, at: &str, faults: &mut Faults) -> ActiveModel {
        self.terms().check(at, faults)
    }
}

/// What a request states of a limit.
struct Terms<'r> {
    metric: Metric,
    window: Period,
    amount: &'r str,
    window_count: i32,
    mode: Mode,
    currency: Option<&'r str>,
    models: Option<&'r Texts>,
    timezone: Option<&'r str>,
    each: Option<Each>,
    alert_at: Option<&'r Percentages>,
}

impl Terms<'_> {
    fn check(self, at: &str, faults: &mut Faults) -> ActiveModel {
        let pointer = |field: &str| format!("{at}/{field}");
        let amount = amount(self.metric, self.amount, &pointer("amount"), faults);
        self.check_window(&pointer("window"), faults);
        self.check_currency(&pointer("currency"), faults);
        self.check_models(&pointer("models"), faults);
        self.check_support(at, faults);
        ActiveModel {
            each: Set(None),
            metric: Set(self.metric),
            currency: Set(self.currency.map(str::to_owned)),
            period: Set(self.window),
            period_count: Set(self.window_count),
            timezone: Set(None),
            models: Set(self.models.cloned()),
            mode: Set(self.mode),
            amount: Set(amount),
            alert_at: Set(None),
            overrides: Set(None),
            deleted_at: Set(None),
            ..Default::default()
        }
    }

    fn check_window(&self, pointer: &str, faults: &mut Faults) {
        let open = self.metric == Metric::Concurrency && self.window != Period::Total;
        faults.when(open, pointer, "not_allowed", "open calls are limited with the window total");
        let each_is_one = self.metric == Metric::Requests && self.window == Period::Request;
        faults.when(each_is_one, pointer, "not_allowed", "a call is always one request");
    }

    fn check_currency(&self, pointer: &str, faults: &mut Faults) {
        let Some(currency) = self.currency else { return };
        if self.metric == Metric::Cost {
            faults.currency(pointer, currency);
        } else {
            faults.add(pointer, "not_allowed", "goes with the metric cost only");
        }
    }

    fn check_models(&self, pointer: &str, faults: &mut Faults) {
        let none = self.models.is_some_and(|Texts(models)| models.is_empty());
        faults.when(none, pointer, "required", "must name a model; absent is all of them");
        faults.globs(pointer, self.models);
    }

    /// What a limit can be one day.
    fn check_support(&self, at: &str, faults: &mut Faults) {
        let count = format!("{at}/window_count");
        faults.when(self.window_count < 1, &count, "out_of_range", "must be 1");
        for (asked, field, message) in [
            (self.window_count > 1, "window_count", "window_count above 1 is not supported yet"),
            (
                self.timezone.is_some_and(|zone| zone != UTC),
                "timezone",
                "a timezone but UTC is not supported yet",
            ),
            (self.each.is_some(), "each", "each is not supported yet"),
            (self.alert_at.is_some(), "alert_at", "alert_at is not supported yet"),
        ] {
            faults.when(asked, &format!("{at}/{field}"), "not_supported", message);
        }
    }
}
