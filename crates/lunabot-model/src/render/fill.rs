//! Filling in `util.Interpolate` and `util.WithProperties`.

use super::{Fault, Scope, read, truthy, unknown_secret};
use crate::interpolate::{Lookup, Part, Selector, Template};
use crate::kinds::renderables as kinds;
use crate::percent::{self, Piece};
use crate::resources::SourceStamp;
use crate::{AnyObject, BoxFuture, Json};
use futures::future::try_join_all;
use std::collections::BTreeMap;

type Kwargs = BTreeMap<String, Json>;

impl<'a> Scope<'a> {
    /// 04.010–04.024.
    pub(super) async fn interpolate(self, object: &AnyObject) -> Result<Json, Fault> {
        let params: kinds::InterpolateParams = read(object)?;
        let template = params.check()?;
        if params.args.is_empty() {
            return Ok(self.fill(&template, &params.kwargs).await?.into());
        }
        let mut args = self.arguments(params.args, Kwargs::new()).await?.into_iter();
        let parts = template.parts.iter().map(|part| match part {
            Part::Text(text) => Ok(text.clone()),
            Part::Positional(spec) | Part::Lookup(_, spec) => {
                percent::format_value(*spec, &args.next().unwrap_or_default())
            }
        });
        Ok(parts.collect::<Result<String, _>>()?.into())
    }

    fn fill<'f>(self, template: &'f Template, kwargs: &'f Kwargs) -> BoxFuture<'f, Result<String, Fault>>
    where
        'a: 'f,
    {
        Box::pin(async move {
            let parts = try_join_all(template.parts.iter().map(|part| self.part(part, kwargs))).await?;
            Ok(parts.concat())
        })
    }

    async fn part(self, part: &Part, kwargs: &Kwargs) -> Result<String, Fault> {
        match part {
            Part::Text(text) => Ok(text.clone()),
            Part::Positional(_) => Err("there is no positional value here".into()),
            Part::Lookup(lookup, spec) => {
                let value = self.lookup(lookup, kwargs).await?;
                Ok(percent::format_value(*spec, &value)?)
            }
        }
    }

    /// The rule of 04.023; see [`crate::interpolate::Modifier`].
    async fn lookup(self, lookup: &Lookup, kwargs: &Kwargs) -> Result<Json, Fault> {
        let rule = &lookup.modifier;
        let found = match (&lookup.selector, &rule.present) {
            // A secret counts as there without being asked for.
            (Selector::Secret(_), Some(present)) if !rule.when_true => {
                return Ok(self.fill(present, kwargs).await?.into());
            }
            _ => self.find(&lookup.selector, kwargs).await?,
        };
        let Some(value) = found else {
            return Ok(self.fill(&rule.absent, kwargs).await?.into());
        };
        let value = match &rule.present {
            Some(present) if !rule.when_true => return Ok(self.fill(present, kwargs).await?.into()),
            _ => self.yielded(value).await?,
        };
        match &rule.present {
            _ if rule.when_true && !truthy(&value) => Ok(self.fill(&rule.absent, kwargs).await?.into()),
            Some(present) => Ok(self.fill(present, kwargs).await?.into()),
            None if value.is_null() => Ok("".into()),
            None => Ok(value),
        }
    }

    async fn find(self, selector: &Selector, kwargs: &Kwargs) -> Result<Option<Json>, Fault> {
        match selector {
            Selector::Prop(name) => Ok(self.cx.property(name)),
            Selector::Src { codebase, attribute } => {
                Ok(self.cx.source_stamp(codebase).and_then(|stamp| stamp_attribute(&stamp, attribute)))
            }
            Selector::Worker(name) => Ok(self.cx.worker_info(name)),
            Selector::Kw(name) => Ok(kwargs.get(name).cloned()),
            Selector::Secret(name) => match self.cx.secret(name).await? {
                Some(value) => Ok(Some(value.into())),
                None => Err(unknown_secret(name)),
            },
        }
    }

    /// 04.033.
    pub(super) async fn with_properties(self, object: &AnyObject) -> Result<Json, Fault> {
        let params: kinds::WithPropertiesParams = read(object)?;
        let mut names = params.args.iter();
        let mut out = String::new();
        for piece in params.check()? {
            match piece {
                Piece::Text(text) => out.push_str(&text),
                Piece::Field { key, spec } => {
                    let key = key.as_ref().or_else(|| names.next()).map_or("", String::as_str);
                    let value = self.legacy(key, &params).await?;
                    out.push_str(&percent::format_value(spec, &value)?);
                }
            }
        }
        Ok(out.into())
    }

    async fn legacy(self, key: &str, params: &kinds::WithPropertiesParams) -> Result<Json, Fault> {
        let modifier = [":-", ":~", ":+"].into_iter().find_map(|m| {
            key.split_once(m).map(|(name, text)| (name, m, text)) //
        });
        let (name, modifier, text) = modifier.unwrap_or((key, "", ""));
        let found = match params.functions.get(name) {
            Some(function) => Some(self.cx.call(function, true, Vec::new()).await?),
            None => self.cx.property(name),
        };
        let value = match (modifier, found) {
            (":+", found) => found.map_or("", |_| text).into(),
            (":~", found) => found.filter(truthy).unwrap_or_else(|| text.into()),
            (":-", found) => found.unwrap_or_else(|| text.into()),
            (_, Some(value)) => value,
            (_, None) => return Err(format!("property \"{name}\" is not set; write %({name}:-)s").into()),
        };
        let value = self.yielded(value).await?;
        Ok(if value.is_null() { "".into() } else { value })
    }
}

/// 04.011. Attributes of a patch are missing where there is no patch.
fn stamp_attribute(stamp: &SourceStamp, attribute: &str) -> Option<Json> {
    let patch = || stamp.patch.as_ref();
    Some(match attribute {
        "branch" => stamp.branch.clone().into(),
        "revision" => stamp.revision.clone().into(),
        "repository" => stamp.repository.clone().into(),
        "project" => stamp.project.clone().into(),
        "codebase" => stamp.codebase.clone().into(),
        "patch_level" => patch()?.level.into(),
        "patch_body" => patch()?.body.clone().into(),
        "patch_subdir" => patch()?.subdir.clone().into(),
        "patch_author" => patch()?.author.clone().into(),
        "patch_comment" => patch()?.comment.clone().into(),
        _ => return None,
    })
}
