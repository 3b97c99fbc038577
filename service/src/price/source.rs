//! What an event keeps of where its price was found.

use super::resolve::Step;
use entity::status::PriceSource;

impl From<Step> for PriceSource {
    fn from(step: Step) -> Self {
        match step {
            Step::Connection => Self::Connection,
            Step::OrganizationProviderModel => Self::OrganizationProviderModel,
            Step::OrganizationModel => Self::OrganizationModel,
            Step::OrganizationGlob => Self::OrganizationGlob,
            Step::PlatformProviderModel => Self::PlatformProviderModel,
            Step::PlatformModel => Self::PlatformModel,
            Step::PlatformGlob => Self::PlatformGlob,
            Step::Family => Self::Family,
            Step::Default => Self::Default,
        }
    }
}
