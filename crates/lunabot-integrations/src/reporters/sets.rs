//! What a reporter says of buildsets, and of workers that are missing (11.016–11.018).

use super::details;
use super::formatters::{About, Context, Formatter};
use super::generators::{Generator, Way};
use super::means::{Fault, master};
use super::reporter::{Reporter, wants};
use super::reports::{self, Draft};
use super::texts::{self, Named};
use super::wanted::Wanted;
use lunabot_model::{Arg, Json};

impl Reporter {
    pub(super) async fn generate_for_set(&self, place: usize, set: &Json) -> Result<Option<Json>, Fault> {
        let generator = &self.generators[place];
        let Some((set, rows)) = details::buildset(&self.means, &set["bsid"]).await? else { return Ok(None) };
        let (mut builds, mut room) = (Vec::new(), details::LONGEST_LOGS);
        for row in rows {
            let Some(build) = details::build(&self.means, &row, &wants(generator, false), &mut room).await?
            else {
                continue;
            };
            let all = generator.way == Way::SetCombined;
            if all
                || self.needed(place, "is_message_needed_by_props", &build).await?
                    && self.needed(place, "is_message_needed_by_results", &build).await?
            {
                builds.push(build);
            }
        }
        if builds.is_empty() {
            return Ok(None);
        }
        let Some(callback) = generator.thing.hook("buildset_message") else {
            return self.buildset_message(place, &generator.formatter, &builds, &set).await.map(Some);
        };
        let args = vec![
            self.this_generator(place).await?,
            generator.formatter.this(&self.means).await?,
            master(0),
            self.this().await?,
            Arg::Value(builds.clone().into()),
            Arg::Value(set["results"].clone()),
        ];
        let answer = self.means.call(callback, "buildset_message", args).await?;
        self.checked(callback, "buildset_message", answer, &builds)
    }

    /// One message of all builds, or the words about each, together.
    pub async fn buildset_message(
        &self,
        place: usize,
        formatter: &Formatter,
        builds: &[Json],
        set: &Json,
    ) -> Result<Json, Fault> {
        let generator = &self.generators[place];
        let (results, mut draft) = (details::results_of(set), Draft::default());
        if generator.way == Way::SetCombined {
            let mut users = std::collections::BTreeSet::new();
            for build in builds {
                let properties = self.properties_of(build).await?;
                users.extend(details::users(&self.means.data, build, &properties).await?);
            }
            let users: Vec<String> = users.into_iter().collect();
            let about = About::Set { set, builds, users: &users };
            let context = Context::of(&self.means, &generator.modes, about).await?;
            draft.merge(formatter.message(&self.means, context).await?)?;
            draft.users.extend(users);
            builds.iter().for_each(|build| draft.add(build, false, &Wanted::Nothing));
        } else {
            for build in builds {
                self.add_build(&mut draft, generator, formatter, build, true).await?;
            }
        }
        let site = self.means.site();
        let named = Named { results, title: &site.title, builder: "whole buildset" };
        let subject = generator.chosen.subject.as_deref().unwrap_or(texts::SUBJECT);
        Ok(draft.report(Some(texts::subject(subject, &named)), results, set))
    }

    pub(super) async fn generate_for_worker(
        &self,
        generator: &Generator,
        worker: &Json,
    ) -> Result<Option<Json>, Fault> {
        let name = worker["name"].as_str().unwrap_or_default();
        let notify = worker["notify"].as_array().filter(|notify| !notify.is_empty());
        let Some(notify) = notify.filter(|_| generator.needs_worker(name)) else { return Ok(None) };
        let context = Context::of(&self.means, &generator.modes, About::Worker(worker)).await?;
        let message = generator.formatter.message(&self.means, context).await?;
        Ok(Some(reports::of_worker(message, name, notify)))
    }
}
