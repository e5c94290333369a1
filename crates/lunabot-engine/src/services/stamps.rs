//! Which builders and source stamps a service looks at (reference 03.029).

use super::Around;
use super::kinds::Filter;
use lunabot_model::resources::SourceStamp;
use lunabot_model::source_stamp_filter::SourceStampFilter;
use lunabot_model::{AnyObject, Names};

/// The filter of source stamps in a pair or triple.
pub(super) struct StampRule;

impl StampRule {
    pub fn read(object: &AnyObject) -> Result<SourceStampFilter, String> {
        SourceStampFilter::read(object)
    }
}

/// A [`Filter`], ready to use.
pub(super) struct Rule {
    builders: Names,
    pub doomed: Option<Names>,
    stamps: SourceStampFilter,
}

impl Rule {
    pub fn all(filters: &[Filter]) -> Result<Vec<Rule>, String> {
        let rule = |filter: &Filter| {
            let Filter { builders, doomed, stamps } = filter.clone();
            Ok(Rule { builders, doomed, stamps: StampRule::read(&stamps)? })
        };
        filters.iter().map(rule).collect()
    }

    pub fn has(&self, builder: &str) -> bool {
        self.builders.0.iter().any(|name| name == builder)
    }

    pub async fn matches(&self, around: &Around, stamp: &SourceStamp, concerns: &str) -> bool {
        self.stamps.matches(stamp, &*around.generation.host, concerns).await
    }
}
