const form = document.getElementById("form");
const state = document.getElementById("state");
const token = location.hash.slice(1);
history.replaceState(null, "", location.pathname);
document.getElementById("ask").hidden = token !== "";
form.addEventListener("submit", async (event) => {
  event.preventDefault();
  const value = (id) => document.getElementById(id).value;
  const asked = { email: value("email"), kind: value("kind"), text: value("text") || null };
  const answer = await fetch(token ? "/api/privacy/outside/prove" : "/api/privacy/outside", {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(token ? { token } : asked),
  });
  const told = await answer.json();
  if (answer.ok) {
    form.hidden = true;
    state.textContent = token ? `${form.dataset.proved} ${told.due_at.slice(0, 10)}` : form.dataset.asked;
  } else {
    state.textContent = `${told.detail} ${told.hint ?? ""}`;
  }
});
