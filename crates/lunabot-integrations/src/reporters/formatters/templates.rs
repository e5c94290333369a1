//! The words where a configuration has none of its own (11.021, 11.029).

const PLAIN: &str = "\
{{ buildername }}: {{ status_detected }} of {{ projects }}.

Page:      {{ build_url }}
Worker:    {{ workername }}
Reason:    {{ build.buildset.reason or '(none)' }}
Blamelist: {{ blamelist | join(', ') or '(nobody)' }}

{{ sourcestamps }}
{{ summary }}
";

const HTML: &str = "\
<p><a href=\"{{ build_url }}\">{{ buildername }}</a>: {{ status_detected }} of {{ projects }}.</p>
<table>
<tr><td>Result</td><td><span style=\"{{ results_style[results] }}\">{{ result_names[results] }}</span></td></tr>
<tr><td>Worker</td><td>{{ workername }}</td></tr>
<tr><td>Reason</td><td>{{ build.buildset.reason or '(none)' }}</td></tr>
<tr><td>Blamelist</td><td>{{ blamelist | join(', ') or '(nobody)' }}</td></tr>
</table>
<pre>{{ sourcestamps }}</pre>
<p><b>{{ summary }}</b></p>
";

const SET_PLAIN: &str = "\
{{ projects }}: {{ status_detected }} of a set of {{ builds | length }}.

{% for build in builds %}{{ build.builder.name }}: {{ build.results | result }} {{ build.url }}
{% endfor %}
Reason:    {{ buildset.reason or '(none)' }}
Blamelist: {{ blamelist | join(', ') or '(nobody)' }}

{{ sourcestamps }}
{{ summary }}
";

const SET_HTML: &str = "\
<p>{{ projects }}: {{ status_detected }} of a set of {{ builds | length }}.</p>
<ul>
{% for build in builds %}<li><a href=\"{{ build.url }}\">{{ build.builder.name }}</a>: {{ build.results | result }}</li>
{% endfor %}</ul>
<p>Reason: {{ buildset.reason or '(none)' }}<br>Blamelist: {{ blamelist | join(', ') or '(nobody)' }}</p>
<pre>{{ sourcestamps }}</pre>
<p><b>{{ summary }}</b></p>
";

const MISSING_PLAIN: &str = "\
{{ worker.name }} is away from {{ buildbot_title }}; it was last there at {{ worker.last_connection }}.

{{ buildbot_url }}
";

const MISSING_HTML: &str = "\
<p><b>{{ worker.name }}</b> is away from <a href=\"{{ buildbot_url }}\">{{ buildbot_title }}</a>; it was last there at
{{ worker.last_connection }}.</p>
";

/// About a worker that is missing.
pub const MISSING_SUBJECT: &str = "{{ buildbot_title }}: worker {{ worker.name }} is missing";

/// The template for a worker that is missing, a buildset, or a build.
pub fn default(missing: bool, set: bool, html: bool) -> &'static str {
    match (missing, set, html) {
        (true, _, false) => MISSING_PLAIN,
        (true, _, true) => MISSING_HTML,
        (false, true, false) => SET_PLAIN,
        (false, true, true) => SET_HTML,
        (false, false, false) => PLAIN,
        (false, false, true) => HTML,
    }
}
