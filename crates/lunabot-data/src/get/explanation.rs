//! `buildrequests/N/explanation`.

use super::{Answer, parse, path, spec};
use crate::data::Data;
use crate::error::Result;
use lunabot_db::Value;
use lunabot_db::endpoints::Found;
use lunabot_model::result_spec::FieldSpec;

impl Data {
    pub(super) async fn get_explanation(&self, found: &Found, query: &str) -> Result<Answer> {
        let fields = spec::kinds("explanation");
        let fields: Vec<_> = fields.into_iter().map(|(name, kind)| FieldSpec { name, kind }).collect();
        let spec = parse(query, &fields, false)?;
        let told = match found.args.as_slice() {
            [Value::Int(request)] => self.explain_one(*request).await?,
            _ => None,
        };
        let mut item = super::json(&told.ok_or_else(|| path::absent(found))?);
        spec.project(&mut item);
        Ok(Answer::One { plural: "explanations", item })
    }
}
