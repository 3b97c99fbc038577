//! The closed sets of what leads to upstreams: data keys, connections, credentials, proxies.

use sea_orm::prelude::StringLen;
use sea_orm::{DeriveActiveEnum, EnumIter};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

text_enum! {
    /// Whether new secrets are sealed with a data key.
    DataKeyState {
        /// They are.
        Active,
        /// It only opens what is sealed with it.
        Retired,
    }
}
text_enum! {
    /// Whether calls may name a connection.
    ConnectionStatus {
        /// They may.
        Active,
        /// They are refused until it is enabled again.
        Disabled,
        /// Gone: kept for what its calls used, never shown.
        Deleted,
    }
}
text_enum! {
    /// What an upstream speaks.
    Protocol {
        /// OpenAI's chat completions, and whatever is compatible with them.
        OpenaiChat,
        /// OpenAI's responses.
        OpenaiResponses,
        /// Anthropic's messages.
        AnthropicMessages,
        /// Google's generative language API.
        Google,
        /// Ollama's own API.
        Ollama,
        /// Azure's OpenAI service.
        AzureOpenai,
    }
}
text_enum! {
    /// How it is found out what an upstream speaks.
    #[derive(Default)]
    FormatMode {
        /// What is detected counts.
        #[default]
        Auto,
        /// What is stated counts.
        Pinned,
    }
}
text_enum! {
    /// How a connection is paid for.
    #[derive(Default)]
    BillingType {
        /// By the call.
        #[default]
        Metered,
        /// By a subscription.
        FlatFee,
    }
}
text_enum! {
    /// Where an upstream runs.
    #[derive(Default)]
    Location {
        /// Somewhere else.
        #[default]
        Cloud,
        /// In a network of one's own.
        Local,
    }
}
text_enum! {
    /// How a connection is.
    #[derive(Default)]
    #[schema(as = HealthState)]
    Health {
        /// Nobody has tried it.
        #[default]
        Unknown,
        /// It answers.
        Healthy,
        /// It failed lately.
        Degraded,
        /// It failed often, and is left alone for a while.
        Cooldown,
        /// It has no credential that can be used.
        Unavailable,
        /// It refuses its credential, or is not what it should be.
        Error,
    }
}
text_enum! {
    /// Whether a credential is used.
    CredentialState {
        /// It is.
        Active,
        /// Calls under way may use it, new ones do not.
        Draining,
        /// Nothing uses it until it is active again.
        Disabled,
        /// Nothing uses it ever again; its secret is gone.
        Retired,
    }
}
text_enum! {
    /// Whether the proxies of a pool are used.
    #[derive(Default)]
    PoolStatus {
        /// They are.
        #[default]
        Active,
        /// They are not.
        Disabled,
    }
}
text_enum! {
    /// Which proxy of a pool a call takes.
    #[derive(Default)]
    ProxyStrategy {
        /// One after the other.
        #[default]
        RoundRobin,
        /// Any.
        Random,
        /// Always the same one for a connection.
        Sticky,
    }
}
text_enum! {
    /// How a proxy is spoken to.
    ProxyScheme {
        /// HTTP.
        Http,
        /// HTTP over TLS.
        Https,
        /// SOCKS version 5.
        Socks5,
    }
}
text_enum! {
    /// What a test found.
    TestStatus {
        /// There was none.
        Unknown,
        /// It works.
        Active,
        /// It does not.
        Error,
    }
}
