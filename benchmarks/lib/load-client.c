// Opens many event streams and counts what arrives: cheap enough never to be what is measured.
//
//   load-client <port> <connections> <channels> <at once>
//
// Connection i asks for /c/(i % channels); so many connect at once. Each event holds '@' and 16 digits
// once: the time it was published at, in microseconds of CLOCK_MONOTONIC; nothing else on the wire
// holds '@'. Commands come on stdin, one a line, and each is answered by one line of JSON:
//
//   stats          what has been counted
//   until N MS     the same, once N events have come since the start, or after MS milliseconds
//   reset          the same; forgets latencies
//   stall I        stops reading from connection I

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define DIGITS 16
#define PER_ADDRESS 20000

struct connection {
  int fd;
  int digits; // Digits of the timestamp still to come; an event may be split anywhere.
  int is_open;
  uint64_t at;
};

static struct connection *connections;
static int count, channels, at_once, port, started, opened, closed, epoll_fd;
static uint64_t events, bytes, wanted, deadline;
static int waiting;
static uint64_t histogram[64 * 64];
static char buffer[1 << 18];

static uint64_t now_us(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (uint64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

static void fail(const char *what) {
  fprintf(stderr, "load-client: %s: %s\n", what, strerror(errno));
  exit(1);
}

// 64 buckets for each power of two: exact to 1.6 %.
static void record(uint64_t at, uint64_t now) {
  uint64_t us = now > at ? now - at : 0;
  int exponent = us < 64 ? 5 : 63 - __builtin_clzll(us);
  int shift = exponent - 6;
  histogram[us < 64 ? us : (uint64_t)(exponent - 5) * 64 + ((us >> shift) & 63)]++;
}

static uint64_t quantile(double part) {
  uint64_t total = 0, sum = 0;
  for (int i = 0; i < 64 * 64; i++) total += histogram[i];
  for (int i = 0; i < 64 * 64; i++) {
    sum += histogram[i];
    if (total == 0 || sum < (uint64_t)(part * total)) continue;
    return i < 64 ? (uint64_t)i : (64 + (uint64_t)i % 64) << (i / 64 - 1);
  }
  return 0;
}

static void answer(void) {
  struct rusage used;
  getrusage(RUSAGE_SELF, &used);
  uint64_t cpu = (used.ru_utime.tv_sec + used.ru_stime.tv_sec) * 1000000ull +
                 used.ru_utime.tv_usec + used.ru_stime.tv_usec;
  printf("{\"open\":%d,\"events\":%llu,\"bytes\":%llu,", opened - closed, (unsigned long long)events,
         (unsigned long long)bytes);
  printf("\"cpuUs\":%llu,\"p50Us\":%llu,\"p99Us\":%llu}\n", (unsigned long long)cpu,
         (unsigned long long)quantile(0.5), (unsigned long long)quantile(0.99));
  fflush(stdout);
}

static void start_connection(int i) {
  struct connection *c = &connections[i];
  struct sockaddr_in from = {.sin_family = AF_INET}, to = {.sin_family = AF_INET};
  int on = 1;
  c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
  if (c->fd < 0) fail("socket");
  // Another source address before the ports of one run out.
  from.sin_addr.s_addr = htonl(INADDR_LOOPBACK + i / PER_ADDRESS);
  setsockopt(c->fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
  if (bind(c->fd, (struct sockaddr *)&from, sizeof from) < 0) fail("bind");
  to.sin_port = htons(port);
  to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (connect(c->fd, (struct sockaddr *)&to, sizeof to) < 0 && errno != EINPROGRESS) fail("connect");
  struct epoll_event event = {.events = EPOLLOUT, .data.u32 = i};
  epoll_ctl(epoll_fd, EPOLL_CTL_ADD, c->fd, &event);
}

static void send_request(int i) {
  char request[200];
  int error = 0;
  socklen_t size = sizeof error;
  getsockopt(connections[i].fd, SOL_SOCKET, SO_ERROR, &error, &size);
  errno = error;
  if (error != 0) fail("connect");
  int length = snprintf(request, sizeof request,
                        "GET /c/%d HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n\r\n",
                        i % channels);
  if (send(connections[i].fd, request, length, 0) != length) fail("send");
  struct epoll_event event = {.events = EPOLLIN, .data.u32 = i};
  epoll_ctl(epoll_fd, EPOLL_CTL_MOD, connections[i].fd, &event);
}

static void scan(struct connection *c, const char *text, const char *end, uint64_t now) {
  while (text < end) {
    if (c->digits == 0) {
      text = memchr(text, '@', end - text);
      if (text == NULL) return;
      text++;
      c->digits = DIGITS;
      c->at = 0;
    }
    for (; c->digits > 0 && text < end; c->digits--) c->at = c->at * 10 + (*text++ - '0');
    if (c->digits > 0) return;
    events++;
    record(c->at, now);
  }
}

static void receive(int i) {
  struct connection *c = &connections[i];
  ssize_t length = recv(c->fd, buffer, sizeof buffer, 0);
  if (length < 0 && errno == EAGAIN) return;
  if (length <= 0) {
    close(c->fd);
    closed++;
    return;
  }
  if (!c->is_open) {
    if (length < 12 || memcmp(buffer + 9, "200", 3) != 0) {
      fprintf(stderr, "load-client: unexpected answer: %.*s\n", (int)length, buffer);
      exit(1);
    }
    c->is_open = 1;
    opened++;
  }
  bytes += length;
  scan(c, buffer, buffer + length, now_us());
}

static void command(const char *line) {
  unsigned long long n, ms;
  int i;
  if (sscanf(line, "until %llu %llu", &n, &ms) == 2) {
    wanted = n;
    deadline = now_us() + ms * 1000;
    waiting = 1;
    return;
  }
  if (sscanf(line, "stall %d", &i) == 1) {
    epoll_ctl(epoll_fd, EPOLL_CTL_DEL, connections[i].fd, NULL);
  } else if (strncmp(line, "reset", 5) == 0) {
    memset(histogram, 0, sizeof histogram);
  }
  answer();
}

static void read_commands(void) {
  static char text[4096];
  static size_t length;
  ssize_t got = read(0, text + length, sizeof text - 1 - length);
  if (got <= 0) exit(0);
  length += got;
  text[length] = 0;
  char *line = text, *end;
  for (; (end = strchr(line, '\n')) != NULL; line = end + 1) {
    *end = 0;
    command(line);
  }
  length -= line - text;
  memmove(text, line, length);
}

int main(int argc, char **argv) {
  if (argc != 5) return 2;
  port = atoi(argv[1]);
  count = atoi(argv[2]);
  channels = atoi(argv[3]);
  at_once = atoi(argv[4]);
  struct rlimit files;
  getrlimit(RLIMIT_NOFILE, &files);
  files.rlim_cur = files.rlim_max;
  setrlimit(RLIMIT_NOFILE, &files);
  connections = calloc(count, sizeof *connections);
  epoll_fd = epoll_create1(0);
  struct epoll_event input = {.events = EPOLLIN, .data.u32 = UINT32_MAX}, ready[512];
  epoll_ctl(epoll_fd, EPOLL_CTL_ADD, 0, &input);
  for (int announced = 0;;) {
    while (started < count && started - opened < at_once) start_connection(started++);
    if (!announced && opened == count) {
      announced = 1;
      answer();
    }
    int n = epoll_wait(epoll_fd, ready, 512, waiting ? 5 : -1);
    for (int i = 0; i < n; i++) {
      uint32_t which = ready[i].data.u32;
      if (which == UINT32_MAX) read_commands();
      else if (ready[i].events & EPOLLOUT) send_request(which);
      else receive(which);
    }
    if (waiting && (events >= wanted || now_us() >= deadline)) {
      waiting = 0;
      answer();
    }
  }
}
