// Asks a passkey for the forms that need one. The page works without it for everything else.
"use strict";

async function options(form) {
  const response = await fetch(form.dataset.challenge, {
    method: "POST",
    credentials: "same-origin",
    body: new URLSearchParams(new FormData(form)),
  });
  const document = await response.json().catch(() => ({ error: `HTTP ${response.status}` }));
  if (!response.ok) {
    throw new Error(document.error);
  }
  return document;
}

async function ask(form) {
  const given = await options(form);
  const credential =
    form.dataset.passkey === "make"
      ? await navigator.credentials.create({ publicKey: PublicKeyCredential.parseCreationOptionsFromJSON(given) })
      : await navigator.credentials.get({ publicKey: PublicKeyCredential.parseRequestOptionsFromJSON(given) });
  form.elements.passkey.value = JSON.stringify(credential.toJSON());
}

for (const form of document.querySelectorAll("form[data-challenge]")) {
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const told = form.querySelector("[role=alert]");
    told.hidden = true;
    try {
      await ask(form);
    } catch (error) {
      told.textContent = `The passkey did not answer: ${error.message}`;
      told.hidden = false;
      return;
    }
    form.submit();
  });
}
