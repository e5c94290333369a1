//! Changes, and one change: what did this commit do?

use super::read;
use super::render::{Asked, Page, Shown};
use super::view::{BuildRow, Pager, person};
use crate::error::PageError;
use crate::router::App;
use axum::extract::{Path, State};
use axum::response::Response;
use lunabot_model::Id;
use lunabot_model::resources::{Build, Change};
use std::sync::Arc;

const LIMIT: i64 = 40;
/// Builds of one change.
const BUILDS: i64 = 100;

pub async fn changes(State(app): State<Arc<App>>, asked: Asked) -> Response {
    read_changes(&app, &asked).await.shown(&app, &asked)
}

async fn read_changes(app: &App, asked: &Asked) -> Result<Response, PageError> {
    let offset = asked.number("offset").unwrap_or(0);
    let filters = ["branch", "author", "repository", "project", "category"];
    let query = list_query(asked, &filters, offset);
    let (changes, total) = read::list::<Change>(&app.www.data, "changes", &query).await?;
    let chosen: Vec<_> = filters
        .iter()
        .filter_map(|name| {
            let value = asked.get(name)?;
            Some(view! { name, value, href => asked.with(name, None) })
        })
        .collect();
    let pager = Pager::new(asked, offset, changes.len(), LIMIT, total);
    let rows: Vec<_> = changes.iter().map(|c| view! { change => c, who => person(&c.author) }).collect();
    let page = view! { rows, pager, chosen };
    let live = vec!["changes/*/*".into()];
    app.page(
        asked,
        Page { template: "changes.html", title: "Changes".into(), nav: "changes", live, data: page },
    )
}

fn list_query(asked: &Asked, filters: &[&str], offset: i64) -> String {
    let mut query =
        form_urlencoded::Serializer::new(format!("order=-changeid&limit={LIMIT}&offset={offset}"));
    query.extend_pairs(filters.iter().filter_map(|name| Some((*name, asked.get(name)?))));
    query.finish()
}

pub async fn change(State(app): State<Arc<App>>, Path(id): Path<Id>, asked: Asked) -> Response {
    read_change(&app, id, &asked).await.shown(&app, &asked)
}

async fn read_change(app: &App, id: Id, asked: &Asked) -> Result<Response, PageError> {
    let data = &app.www.data;
    let change: Change = read::one(data, &format!("changes/{id}"), "").await?;
    let names = read::names(&read::builders(data).await?);
    let query = format!("order=-buildid&limit={BUILDS}&{}", read::ROW_PROPERTIES);
    let builds: Vec<Build> = read::optional(data, &format!("changes/{id}/builds"), &query).await?;
    let mut rows: Vec<BuildRow> = builds.iter().map(|b| BuildRow::new(b, &names)).collect();
    rows.sort_by(|a, b| a.builder.cmp(&b.builder).then(b.number.cmp(&a.number)));
    let who = person(&change.author);
    let title = change.comments.lines().next().unwrap_or("Change").chars().take(80).collect();
    let page = view! { change, who, rows };
    let live = vec!["builds/*/*".into()];
    app.page(asked, Page { template: "change.html", title, nav: "changes", live, data: page })
}
