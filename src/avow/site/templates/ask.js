const form = document.getElementById("form");
const state = document.getElementById("state");
const day = (at) =>
  new Date(at).toLocaleDateString(document.documentElement.lang, { dateStyle: "long", timeZone: "UTC" });
const token = location.hash.slice(1);
history.replaceState(null, "", location.pathname);
document.getElementById("ask").hidden = token !== "";
form.addEventListener("submit", async (event) => {
  event.preventDefault();
  const value = (id) => document.getElementById(id).value;
  const asked = { email: value("email"), kind: value("kind"), text: value("text") || null };
  const refusals = JSON.parse(form.dataset.refusals);
  let answer, told;
  try {
    answer = await fetch(token ? "/api/privacy/outside/prove" : "/api/privacy/outside", {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify(token ? { token } : asked),
    });
    told = await answer.json();
  } catch {
    state.textContent = refusals.unreachable;
    return;
  }
  if (answer.ok) {
    form.hidden = true;
    state.textContent = token ? `${form.dataset.proved} ${day(told.due_at)}` : form.dataset.asked;
  } else {
    state.textContent = refusals[told.code] ?? `${refusals.other} ${told.detail} ${told.hint ?? ""}`;
  }
});
