#!/bin/sh
# Sets IMAGE to VERSION through the versions service, from a job of any CI. It needs
# a shell and curl: copy it into your repository, or paste it into the job.
#
#   VERSIONS_SERVICE_URL    such as http://versions-service.default.svc
#   VERSIONS_SERVICE_TOKEN  a secret of API_TOKENS; left out where the service has AUTH=none
#   VERSIONS_SERVICE_WAIT   the most seconds to wait; 300 when left out
#   IMAGE, VERSION          such as ghcr.io/octo-org/web and 1.4.0
#
# The service stores the update under a key of this run and attempt: sending it
# again makes no second update, and it goes on when the job ends before it does.
# Where it came from is taken from the variables of GitHub Actions, GitLab CI and
# Jenkins, if they are set.
#
# Exit codes: 0 done, or nothing to do; 1 a fault of this script; 2 refused;
# 3 no file names the image; 4 the service, or GitHub behind it, is away;
# 5 not finished in time, the service goes on with it; 6 some targets failed.
set -eu

: "${VERSIONS_SERVICE_URL:?set it to the URL of the versions service}"
: "${IMAGE:?set it to the name of the image, without a tag}"
: "${VERSION:?set it to the tag of the image}"
wait=${VERSIONS_SERVICE_WAIT:-300}
deadline=$(($(date +%s) + wait))
tries_unreachable=4

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

say() { echo "versions-service: $*"; }

# finish CODE TEXT prints the answer and one line that sums it up, and ends the job.
finish() {
  code=$1
  shift
  if [ -s "$scratch/answer" ]; then
    cat "$scratch/answer"
    echo
  fi
  say "$IMAGE $VERSION: $*"
  if [ -n "${GITHUB_STEP_SUMMARY-}" ]; then
    echo "$IMAGE $VERSION: $*" >>"$GITHUB_STEP_SUMMARY"
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

# first NAME prints the answer's first text of that name.
first() { grep -o "\"$1\":\"[^\"]*\"" "$scratch/answer" | head -n 1 | cut -d '"' -f 4; }

header() { sed -n "s/^$1: *//p" "$scratch/headers" | tr -d '\r' | head -n 1; }

# call ARGUMENTS… sends a request within the time that is left, and sets $status,
# which is 000 when no answer came. The token is no argument, which others may see.
call() {
  rest=$(left)
  [ "$rest" -gt 0 ] || rest=1
  : >"$scratch/answer"
  : >"$scratch/headers"
  status=$({
    if [ -n "${VERSIONS_SERVICE_TOKEN-}" ]; then
      printf 'header = "Authorization: Bearer %s"\n' "$VERSIONS_SERVICE_TOKEN"
    fi
  } | curl -sS -K - --connect-timeout 10 --max-time "$rest" -o "$scratch/answer" -D "$scratch/headers" -w '%{http_code}' "$@") || status=000
}

# json NAME VALUE… prints an object of those that have a value.
json() {
  separator='{'
  while [ $# -gt 0 ]; do
    case $2 in
    *[\"\\]*)
      say "$1 holds a quote or a backslash" >&2
      exit 1
      ;;
    ?*)
      printf '%s"%s":"%s"' "$separator" "$1" "$2"
      separator=,
      ;;
    esac
    shift 2
  done
  [ "$separator" = '{' ] || printf '}'
}

origin_of() {
  if [ -n "${GITHUB_RUN_ID-}" ]; then
    json repository "${GITHUB_REPOSITORY-}" revision "${GITHUB_SHA-}" \
      url "${GITHUB_SERVER_URL-}/${GITHUB_REPOSITORY-}/actions/runs/$GITHUB_RUN_ID"
  elif [ -n "${CI_JOB_ID-}" ]; then
    json repository "${CI_PROJECT_PATH-}" revision "${CI_COMMIT_SHA-}" url "${CI_JOB_URL-}"
  elif [ -n "${BUILD_TAG-}" ]; then
    json revision "${GIT_COMMIT-}" url "${BUILD_URL-}"
  fi
}

body=$(json image "$IMAGE" version "$VERSION")
origin=$(origin_of)
[ -z "$origin" ] || body="${body%\}},\"source\":$origin}"

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
  hold=$(left)
  [ "$hold" -le 60 ] || hold=60 # half of it is left for the answer to arrive
  call "$VERSIONS_SERVICE_URL/v1/updates" -H 'Content-Type: application/json' \
    -H "Prefer: wait=$((hold / 2))" -H "Idempotency-Key: $key" -d "$body"
  case $status in
  000)
    unreachable=$((unreachable + 1))
    [ "$unreachable" -lt "$tries_unreachable" ] && [ "$(left)" -gt 0 ] || finish 4 "$VERSIONS_SERVICE_URL does not answer"
    pause 3 "no answer from $VERSIONS_SERVICE_URL"
    ;;
  429 | 502 | 503 | 504)
    case $(first code) in # the end of the update, not of this try to store it
    upstream_forbidden) finish 2 "HTTP $status, $(first detail)" ;;
    upstream_* | timeout) finish 4 "HTTP $status, $(first detail)" ;;
    esac
    [ "$(left)" -gt 0 ] || finish 4 "HTTP $status, $(first detail)"
    after=$(header Retry-After)
    case $after in '' | *[!0-9]*) after=5 ;; esac
    pause "$after" "HTTP $status, $(first detail)"
    ;;
  *) break ;;
  esac
done

case $status in
202)
  location=$(header Location)
  ;;
200 | 201) finish 0 "$(first status) $(header Location)" ;;
207) finish 6 "some targets failed" ;;
404)
  [ "$(first code)" = image_not_referenced ] || finish 2 "HTTP 404, $(first detail)"
  finish 3 "$(first detail)"
  ;;
*) finish 2 "HTTP $status, $(first detail)" ;;
esac

# It is stored. Look at it until it has ended.
while :; do
  call "$VERSIONS_SERVICE_URL$location"
  state=$(first status)
  case $status:$state in
  200:queued | 000:* | 429:* | 5*) ;;
  200:failed)
    case $(first code) in
    image_not_referenced) finish 3 "$(first detail)" ;;
    upstream_* | unavailable | timeout) finish 4 "$(first detail)" ;;
    esac
    ! grep -q '"status":"committed"' "$scratch/answer" || finish 6 "some targets failed: $(first detail)"
    finish 2 "failed: $(first detail)"
    ;;
  200:*) finish 0 "$state $(first url)" ;;
  *) finish 2 "HTTP $status, $(first detail)" ;;
  esac
  why=$(first last_error)
  [ "$(left)" -gt 0 ] || finish 5 "not finished after $wait s, the service goes on with $location${why:+ ($why)}"
  pause 5 "stored as $location${why:+, $why}"
done
