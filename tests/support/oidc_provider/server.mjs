// A certified OpenID provider for tests. What a company sets in its provider's administration comes as one JSON text on
// stdin: {issuer, clients, people, ttl, par}. Its pages are as plain as may be: a form with a name and a button, which a
// browser and a test's HTTP client fill in alike.
//
// Beside the provider, under /test/, lies what an administrator does to it: rotate keys, end a person's sessions (its
// logout tokens go out), take somebody's groups away, answer nothing for a while. It listens on 127.0.0.1 alone.

import { createHash, generateKeyPairSync, randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { Provider, interactionPolicy } from 'oidc-provider';

const given = JSON.parse(readFileSync(0, 'utf8'));
const people = new Map(Object.entries(given.people));
const signing = [];
const asked = []; // what came to the endpoints that clients call themselves
let away = 0; // requests that are answered with 503 from now on; -1: all
let provider;

function newKey() {
  const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  const jwk = privateKey.export({ format: 'jwk' });
  const kid = createHash('sha256').update(jwk.n).digest('base64url').slice(0, 12);
  return { ...jwk, kid, use: 'sig', alg: 'RS256' };
}

function policy() {
  const prompts = interactionPolicy.base();
  // As providers with authentication levels do: a session that is not strong enough leads to a new sign-in.
  prompts.get('login').checks.add(new interactionPolicy.Check('acr_wanted', 'a stronger sign-in is wanted', ({ oidc }) => {
    const wanted = (oidc.params.acr_values || '').split(' ').filter(Boolean);
    return wanted.length > 0 && !wanted.includes(oidc.session.acr || '');
  }));
  return prompts;
}

async function grantFor(ctx) {
  const { client, session, params, provider: own } = ctx.oidc;
  const id = ctx.oidc.result?.consent?.grantId || session.grantIdFor(client.clientId);
  const grant = (id && (await own.Grant.find(id))) || new own.Grant({ clientId: client.clientId, accountId: session.accountId });
  grant.addOIDCScope(params.scope || 'openid');
  for (const resource of [params.resource].flat().filter(Boolean)) grant.addResourceScope(resource, params.scope || '');
  await grant.save();
  return grant;
}

function make() {
  const made = new Provider(given.issuer, {
    clients: given.clients,
    jwks: { keys: signing },
    cookies: { keys: [randomBytes(16).toString('hex')] },
    conformIdTokenClaims: false,
    scopes: ['openid', 'offline_access', 'profile', 'email', 'groups'],
    claims: {
      openid: ['sub'], profile: ['name', 'preferred_username'], email: ['email', 'email_verified'], groups: ['groups'],
      acr: null, amr: null, auth_time: null, sid: null, iss: null,
    },
    acrValues: given.acr_values || ['one', 'two'],
    interactions: { policy: policy(), url: (_ctx, interaction) => `/interaction/${interaction.uid}` },
    findAccount: (_ctx, sub) => people.has(sub) && { accountId: sub, claims: () => ({ sub, ...people.get(sub) }) },
    loadExistingGrant: grantFor,
    issueRefreshToken: (_ctx, client) => client.grantTypeAllowed('refresh_token'),
    rotateRefreshToken: true,
    pkce: { required: () => true },
    // What Keycloak's and Okta's access tokens say of a sign-in: its level and its time, and no methods.
    extraTokenClaims: (ctx) => {
      const { AuthorizationCode, DeviceCode, RefreshToken } = ctx.oidc.entities;
      const from = AuthorizationCode || DeviceCode || RefreshToken;
      return given.strength && from ? { acr: from.acr, auth_time: from.authTime } : undefined;
    },
    ttl: { AccessToken: 300, IdToken: 300, Session: 86400, Grant: 86400, RefreshToken: 86400, ...given.ttl },
    features: {
      devInteractions: { enabled: false },
      clientCredentials: { enabled: true },
      deviceFlow: { enabled: true, userCodeInputSource, userCodeConfirmSource, successSource },
      introspection: { enabled: true },
      revocation: { enabled: true },
      backchannelLogout: { enabled: true },
      pushedAuthorizationRequests: { enabled: given.par !== false },
      rpInitiatedLogout: { enabled: true, logoutSource },
      resourceIndicators: {
        enabled: true,
        getResourceServerInfo: (_ctx, resource) => ({ scope: 'openid profile groups', audience: resource, accessTokenFormat: 'jwt' }),
      },
    },
    // It guards its own calls against loopback, which is where tests take logout tokens.
    fetch: (url, options) => {
      const { dispatcher, ...plain } = options;
      return fetch(url, plain);
    },
  });
  made.on('server_error', (_ctx, error) => console.error(error));
  return made;
}

async function logoutSource(ctx, form) {
  const button = '<button type="submit" form="op.logoutForm" name="logout" value="yes">Sign out</button>';
  ctx.body = `<!doctype html><html lang="en"><title>Sign out?</title><main><h1>Sign out?</h1>${form}${button}</main></html>`;
}

// The form that the provider makes has its hidden fields; a button outside it sends it.
async function userCodeInputSource(ctx, form) {
  const button = '<button type="submit" form="op.deviceInputForm">Continue</button>';
  ctx.body = `<!doctype html><html lang="en"><title>Your code</title><main><h1>Your code</h1>${form}${button}</main></html>`;
}

async function userCodeConfirmSource(ctx, form, _client, _device, code) {
  const button = '<button type="submit" form="op.deviceConfirmForm">Continue</button>';
  ctx.body = `<!doctype html><html lang="en"><title>Is it this?</title><main><h1>${code}</h1>${form}${button}</main></html>`;
}

async function successSource(ctx) {
  ctx.body = '<!doctype html><html lang="en"><title>Done</title><main><h1>Done</h1></main></html>';
}

async function formOf(req) {
  let text = '';
  for await (const piece of req) text += piece;
  return new URLSearchParams(text);
}

async function interaction(req, res) {
  const details = await provider.interactionDetails(req, res);
  if (req.method !== 'POST') {
    const hint = (details.params.login_hint || '').replace(/[^\w@.-]/g, '');
    res.setHeader('content-type', 'text/html; charset=utf-8');
    res.end(
      '<!doctype html><html lang="en"><title>Who are you?</title><main><h1>Who are you?</h1><form method="post">'
      + `<label>Name <input name="login" value="${hint}" autofocus></label><button type="submit">Sign in</button></form></main></html>`,
    );
    return;
  }
  const form = await formOf(req);
  if (form.get('login') === '') {
    await provider.interactionFinished(req, res, { error: 'access_denied', error_description: 'nobody signed in' });
    return;
  }
  const wanted = (details.params.acr_values || 'one').split(' ')[0];
  const login = { accountId: form.get('login'), acr: wanted, amr: wanted === 'one' ? ['pwd'] : ['pwd', 'otp', 'mfa'] };
  // Native clients are consented to each time (RFC 8252, 8.6): the one button means both.
  await provider.interactionFinished(req, res, { login, consent: {} }, { mergeWithLastSubmission: false });
}

async function administer(req, res, path) {
  let text = '';
  for await (const piece of req) text += piece;
  const said = text ? JSON.parse(text) : {};
  let answer = {};
  if (path === '/test/rotate') {
    signing.unshift(newKey());
    if (said.drop) signing.length = 1;
    provider = make();
    answer = { kid: signing[0].kid };
  } else if (path === '/test/person') {
    if (said.claims === null) people.delete(said.sub);
    else people.set(said.sub, said.claims);
  } else if (path === '/test/away') {
    away = said.requests;
  } else if (path === '/test/logout') {
    const client = await provider.Client.find(said.client);
    await client.backchannelLogout(said.sub, said.sid);
  } else if (path === '/test/asked') {
    answer = asked.splice(0);
  }
  res.setHeader('content-type', 'application/json');
  res.end(JSON.stringify(answer));
}

const server = createServer(async (req, res) => {
  const path = new URL(req.url, given.issuer).pathname;
  try {
    if (path.startsWith('/test/')) return await administer(req, res, path);
    if (req.method === 'POST' && !path.startsWith('/interaction/')) asked.push(path);
    if (away !== 0) {
      if (away > 0) away -= 1;
      res.statusCode = 503;
      return res.end();
    }
    if (path.startsWith('/interaction/')) return await interaction(req, res);
    return await provider.callback()(req, res);
  } catch (error) {
    console.error(error);
    res.statusCode = 500;
    return res.end(String(error));
  }
});

signing.push(newKey());
provider = make();
server.listen(Number(new URL(given.issuer).port), '127.0.0.1', () => console.log('ready'));
