// An issuer of OpenID Connect for tests: oidc-provider, with accounts that exist as soon as they are named.
//
// usage: node issuer.mjs PORT CALLBACK
//
// It is run in the folder into which its packages were installed. Its pages for signing in are those
// that it has for development: forms with the fields `prompt`, `login` and `password`.
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

const require = createRequire(`${process.cwd()}/`);
const { Provider } = await import(pathToFileURL(require.resolve("oidc-provider")));
const [port, callback] = process.argv.slice(2);

const provider = new Provider(`http://127.0.0.1:${port}`, {
  clients: [
    { client_id: "things", client_secret: "a secret of the client", redirect_uris: [callback] },
  ],
  pkce: { required: () => true },
  claims: { openid: ["sub"], email: ["email", "email_verified"], profile: ["groups", "preferred_username"] },
  // The verification of an address is part of the login: NAME+unverified@DOMAIN has not been verified.
  findAccount: (_, login) => ({
    accountId: login,
    claims: () => ({
      sub: login,
      email: login,
      email_verified: !login.includes("+unverified"),
      groups: login.startsWith("ops") ? ["staff", "ops"] : ["staff"],
      preferred_username: "admin",
    }),
  }),
});
provider.listen(Number(port), "127.0.0.1");
