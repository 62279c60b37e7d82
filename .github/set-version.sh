#!/bin/sh
# Sets IMAGE to VERSION through the versions service, from a job of any CI. It needs
# a shell, curl and jq: copy it into your repository, or paste it into the job. In
# GitHub Actions action.yml runs it.
#
#   VERSIONS_SERVICE_URL       such as http://versions-service.default.svc
#   VERSIONS_SERVICE_TOKEN     a secret of the caller. Without it a job of GitHub Actions
#                              with the permission id-token: write gets its own token
#   VERSIONS_SERVICE_AUDIENCE  audience of that token; the server's origin when left out
#   VERSIONS_SERVICE_ID_TOKEN  the OpenID Connect token of a job elsewhere
#   VERSIONS_SERVICE_WAIT      the most seconds to wait; 300 when left out
#   IMAGE, VERSION             such as ghcr.io/octo-org/web and 1.4.0
#   DIGEST                     the version's digest, where files pin one
#   DRY_RUN                    true prints the change as a diff, and writes nothing
#
# The service stores the update under a key of this run and attempt: sending it
# again makes no second update, and it goes on when the job ends before it does.
# Where it came from is taken from the variables of GitHub Actions, GitLab CI and
# Jenkins, if they are set, or by the service from the job's token.
#
# Exit codes: 0 done, or nothing to do; 1 a fault of this script; 2 refused;
# 3 no file names the image; 4 the service, or GitHub behind it, is away;
# 5 not finished in time, the service goes on with it; 6 some targets failed.
set -eu

: "${VERSIONS_SERVICE_URL:?set it to the URL of the versions service}"
: "${IMAGE:?set it to the name of the image, without a tag}"
: "${VERSION:?set it to the tag of the image}"
VERSIONS_SERVICE_URL=${VERSIONS_SERVICE_URL%/}
wait=${VERSIONS_SERVICE_WAIT:-300}
deadline=$(($(date +%s) + wait))
tries_unreachable=4
token_life=240 # seconds; a job's token of GitHub Actions lives for 300

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
umask 077

# harmless leaves out of text what a terminal obeys, and what begins a command of
# GitHub Actions within a line; at its beginning stands a word or sign of this script.
harmless() { tr -d '\000-\010\013-\037\177' | sed 's/##\[/## [/g'; }

# say prints one line.
say() {
  printf 'versions-service: %s' "$*" | tr '\r\n' '  ' | harmless
  echo
}

# find NAME prints the first text of that name in the answer, as one line.
find() {
  jq -r --arg name "$1" 'first(.. | objects | .[$name]? | strings) | gsub("[[:cntrl:]]+"; " ")' "$scratch/answer" 2>/dev/null || true
}

# finish CODE TEXT prints the answer and one line that sums it up, and ends the job.
finish() {
  code=$1
  shift
  diff=$(jq -r '.targets[]?.diff // empty' "$scratch/answer" 2>/dev/null || true)
  if [ -n "$diff" ]; then
    printf '%s\n' "$diff" | harmless | sed 's/^/| /'
  elif [ -s "$scratch/answer" ]; then
    head -c 65536 "$scratch/answer" | harmless | sed 's/^/| /'
    echo
  fi
  if [ "$code" != 0 ] && [ -n "${GITHUB_ACTIONS-}" ]; then
    printf '::error title=versions-service::%s\n' "$(printf '%s' "$IMAGE $VERSION: $*" | sed 's/%/%25/g' | tr '\r\n' '  ' | harmless)"
  fi
  say "$IMAGE $VERSION: $*"
  if [ -n "${GITHUB_STEP_SUMMARY-}" ]; then
    printf '```text\n%s\n```\n' "$(say "$IMAGE $VERSION: $*")" >>"$GITHUB_STEP_SUMMARY"
  fi
  if [ -n "${GITHUB_OUTPUT-}" ]; then
    printf 'status=%s\ncommit=%s\n' "$(jq -r '.status | strings | gsub("[^a-z]"; "")' "$scratch/answer" 2>/dev/null || true)" "$(find sha)" >>"$GITHUB_OUTPUT"
  fi
  exit "$code"
}

left() { echo $((deadline - $(date +%s))); }

# pause SECONDS TEXT says what is waited for, and waits no longer than there is time.
pause() {
  seconds=$1
  shift
  rest=$(left)
  [ "$seconds" -le 30 ] || seconds=30
  [ "$seconds" -le "$rest" ] || seconds=$rest
  [ "$seconds" -gt 0 ] || seconds=0
  say "$*; $rest s are left, asking again in $seconds s"
  sleep "$seconds"
}

header() { sed -n "s/^$1: *//p" "$scratch/headers" | tr -d '\r' | head -n 1; }

# origin is the server's scheme, host and port.
origin() {
  printf '%s' "$VERSIONS_SERVICE_URL" | sed 's|^\([a-zA-Z]*://[^/?#]*\).*|\1|' | tr 'A-Z' 'a-z' | sed 's|^\(http://.*\):80$|\1|; s|^\(https://.*\):443$|\1|'
}

# bearer NAME prints the header with the token, which is no argument that others may
# see, as curl reads it.
bearer() { printf '%s' "$1" | sed 's/[\\"]/\\&/g; s/^/header = "Authorization: Bearer /; s/$/"/'; }

# authorise leaves the header with the caller's token, if it has one, in a file.
authorise() {
  if [ -n "${VERSIONS_SERVICE_TOKEN-}" ]; then
    bearer "$VERSIONS_SERVICE_TOKEN" >"$scratch/caller"
  elif [ -n "${ACTIONS_ID_TOKEN_REQUEST_URL-}" ] && [ -n "${ACTIONS_ID_TOKEN_REQUEST_TOKEN-}" ]; then
    [ ! -s "$scratch/caller" ] || [ $(($(date +%s) - given)) -gt "$token_life" ] || return 0
    given=$(date +%s)
    audience=$(jq -rn --arg audience "${VERSIONS_SERVICE_AUDIENCE:-$(origin)}" '$audience | @uri')
    bearer "$ACTIONS_ID_TOKEN_REQUEST_TOKEN" | curl -sS -K - --connect-timeout 10 --max-time 30 --retry 2 --max-filesize 65536 \
      "$ACTIONS_ID_TOKEN_REQUEST_URL&audience=$audience" | jq -re '.value | strings' >"$scratch/token" 2>/dev/null ||
      finish 2 "GitHub gives the job no token; does it have permissions: {id-token: write}?"
    bearer "$(cat "$scratch/token")" >"$scratch/caller"
  elif [ -n "${VERSIONS_SERVICE_ID_TOKEN-}" ]; then
    bearer "$VERSIONS_SERVICE_ID_TOKEN" >"$scratch/caller"
  fi
}

# call ARGUMENTS… sends a request within the time that is left, and sets $status,
# which is 000 when no answer came. A redirect is not followed.
call() {
  rest=$(left)
  [ "$rest" -gt 0 ] || rest=1
  : >"$scratch/answer"
  : >"$scratch/headers"
  authorise
  status=$(curl -sS -K "$scratch/caller" --connect-timeout 10 --max-time "$rest" --max-filesize 33554432 \
    -o "$scratch/answer" -D "$scratch/headers" -w '%{http_code}' "$@") || status=000
}

# source_of prints where the version came from, unless the job's token says it.
source_of() {
  if [ -z "${VERSIONS_SERVICE_TOKEN-}" ] && [ -n "${ACTIONS_ID_TOKEN_REQUEST_TOKEN-}${VERSIONS_SERVICE_ID_TOKEN-}" ]; then
    return
  elif [ -n "${GITHUB_RUN_ID-}" ]; then
    object repository "${GITHUB_REPOSITORY-}" revision "${GITHUB_SHA-}" \
      url "${GITHUB_SERVER_URL-}/${GITHUB_REPOSITORY-}/actions/runs/$GITHUB_RUN_ID"
  elif [ -n "${CI_JOB_ID-}" ]; then
    object repository "${CI_PROJECT_PATH-}" revision "${CI_COMMIT_SHA-}" url "${CI_JOB_URL-}"
  elif [ -n "${BUILD_TAG-}" ]; then
    object revision "${GIT_COMMIT-}" url "${BUILD_URL-}"
  fi
}

# object NAME VALUE… prints an object of those that have a value.
object() { jq -cn '[$ARGS.positional as $all | range(0; $all | length; 2) | {($all[.]): $all[. + 1]} | select(.[] != "")] | add // empty' --args "$@"; }

: >"$scratch/caller"
body=$(object image "$IMAGE" version "$VERSION" digest "${DIGEST-}")
from=$(source_of)
[ -z "$from" ] || body=$(printf '%s' "$body" | jq -c --argjson source "$from" '. + {source: $source}')
if [ "${DRY_RUN-}" = true ]; then
  body=$(printf '%s' "$body" | jq -c '. + {dry_run: true}')
fi

# The same in each try of this attempt, and another for another body.
if [ -n "${GITHUB_RUN_ID-}" ]; then
  run=github-$GITHUB_RUN_ID-${GITHUB_RUN_ATTEMPT-1}-${GITHUB_JOB-}
elif [ -n "${CI_JOB_ID-}" ]; then
  run=gitlab-$CI_JOB_ID
elif [ -n "${BUILD_TAG-}" ]; then
  run=jenkins-$BUILD_TAG
else
  run=$(hostname)-$$-$(date +%s)
fi
key=$(printf '%s' "$run" | tr -c 'A-Za-z0-9._-' '-' | cut -c 1-200)-$(printf '%s' "$body" | cksum | cut -d ' ' -f 1)

# Ask until the update is taken: 202 says that it is stored, and goes on.
say "$IMAGE $VERSION: asking $VERSIONS_SERVICE_URL, for $wait s at most"
unreachable=0
while :; do
  # Half of the time, and a second that may be over by then, is left for the answer to arrive.
  hold=$(left)
  [ "$hold" -le 60 ] || hold=60
  [ "$hold" -gt 0 ] || hold=1
  call "$VERSIONS_SERVICE_URL/v1/updates" -H 'Content-Type: application/json' \
    -H "Prefer: wait=$(((hold - 1) / 2))" -H "Idempotency-Key: $key" -d "$body"
  case $status in
  000)
    unreachable=$((unreachable + 1))
    [ "$unreachable" -lt "$tries_unreachable" ] && [ "$(left)" -gt 0 ] || finish 4 "$VERSIONS_SERVICE_URL does not answer"
    pause 3 "no answer from $VERSIONS_SERVICE_URL"
    ;;
  429 | 502 | 503 | 504)
    case $(find code) in # the end of the update, not of this try to store it
    upstream_* | timeout) finish 4 "HTTP $status, $(find detail)" ;;
    esac
    [ "$(left)" -gt 0 ] || finish 4 "HTTP $status, $(find detail)"
    after=$(header Retry-After)
    case $after in '' | *[!0-9]*) after=5 ;; esac
    pause "$after" "HTTP $status, $(find detail)"
    ;;
  *) break ;;
  esac
done

case $status in
202)
  location=$(header Location)
  case $location in /v1/updates/*) ;; *) finish 1 "HTTP 202 without the path of an update" ;; esac
  ;;
200 | 201) finish 0 "$(jq -r '.status | strings' "$scratch/answer" 2>/dev/null || true) $(header Location)" ;;
207) finish 6 "some targets failed" ;;
404)
  [ "$(find code)" = image_not_referenced ] || finish 2 "HTTP 404, $(find detail)"
  finish 3 "$(find detail)"
  ;;
*) finish 2 "HTTP $status, $(find detail)" ;;
esac

# It is stored. Look at it until it has ended.
while :; do
  call "$VERSIONS_SERVICE_URL$location"
  state=$(jq -r '.status | strings' "$scratch/answer" 2>/dev/null || true)
  case $status:$state in
  200:queued | 000:* | 429:* | 5*) ;;
  200:failed)
    case $(find code) in
    image_not_referenced) finish 3 "$(find detail)" ;;
    upstream_* | unavailable | timeout) finish 4 "$(find detail)" ;;
    esac
    ! jq -e 'any(.targets[]?; .status == "committed")' "$scratch/answer" >/dev/null || finish 6 "some targets failed: $(find detail)"
    finish 2 "failed: $(find detail)"
    ;;
  200:*) finish 0 "$state $(find url)" ;;
  *) finish 2 "HTTP $status, $(find detail)" ;;
  esac
  why=$(find last_error)
  [ "$(left)" -gt 0 ] || finish 5 "not finished after $wait s, the service goes on with $location${why:+ ($why)}"
  pause 5 "stored as $location${why:+, $why}"
done
