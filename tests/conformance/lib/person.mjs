// A person who signs in with a browser that follows one redirect and keeps one cookie.

/**
 * Runs `doorward login …` and walks the sign-in that it offers. The exit code of the command and
 * what it said tell how that went.
 */
export async function signIn(daemon, args) {
  let walk = Promise.resolve();
  let walked = false;
  const result = await daemon.run(['login', ...args, '--no-browser', '-y'], (line) => {
    const link = /http:\/\/\S+\/login\/\S+\?t=\S+/.exec(line)?.[0];
    if (!link || walked) return;
    walked = true;
    walk = browse(link).catch((error) => error);
  });
  const trouble = await walk;
  const err = trouble instanceof Error ? `${result.err}browser: ${trouble}\n` : result.err;
  return { ...result, err };
}

async function browse(link) {
  const page = await fetch(link, { redirect: 'manual' });
  const cookie = page.headers.get('set-cookie')?.split(';')[0];
  const authorize = page.headers.get('location');
  if (!cookie || !authorize) throw new Error(`the link answered ${page.status}`);
  // The suite's authorization server consents by itself.
  const consent = await fetch(authorize, { redirect: 'manual' });
  const back = consent.headers.get('location');
  if (!back) throw new Error(`${authorize} answered ${consent.status}`);
  await fetch(back, { redirect: 'manual', headers: { cookie } });
}
