const form = document.getElementById("form");
const state = document.getElementById("state");
const email = document.getElementById("email");
const password = document.getElementById("password");
const token = location.hash.slice(1);
history.replaceState(null, "", location.pathname);
document.getElementById("ask").hidden = token !== "";
document.getElementById("finish").hidden = token === "";
form.addEventListener("submit", async (event) => {
  event.preventDefault();
  const refusals = JSON.parse(form.dataset.refusals);
  let answer, told;
  try {
    answer = await fetch(token ? "/api/auth/reset/finish" : "/api/auth/reset", {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify(token ? { token, password: password.value } : { email: email.value }),
    });
    told = answer.status === 204 ? {} : await answer.json();
  } catch {
    state.textContent = refusals.unreachable;
    return;
  }
  if (answer.ok) {
    form.hidden = true;
    state.textContent = token ? form.dataset.done : form.dataset.asked;
  } else {
    state.textContent = refusals[told.code] ?? `${refusals.other} ${told.detail} ${told.hint ?? ""}`;
  }
});
