// Java's HttpClient, which asks for h2c with the first request of each connection, and its WebSocket.
// Started with the door's two addresses, the token in TOKEN. Says what came of each task: a name, a tab, the outcome.
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpRequest.BodyPublisher;
import java.net.http.HttpRequest.BodyPublishers;
import java.net.http.HttpResponse;
import java.net.http.HttpResponse.BodyHandlers;
import java.net.http.WebSocket;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.Callable;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionStage;
import java.util.concurrent.TimeUnit;
import java.util.stream.Collectors;

public class Client {
    static String base;
    static String live;
    static final BodyPublisher BIG = BodyPublishers.ofByteArray(new byte[1 << 20]);
    static final String IDENTITY = "Bearer " + System.getenv("TOKEN");
    static final String LONG = "Stra\u00dfe".repeat(20000);

    static HttpClient asking() {
        return HttpClient.newHttpClient();
    }

    static HttpClient plain() {
        return HttpClient.newBuilder().version(HttpClient.Version.HTTP_1_1).build();
    }

    static HttpRequest.Builder nobody(String path) {
        return HttpRequest.newBuilder(URI.create(base + path)).timeout(Duration.ofSeconds(8));
    }

    static HttpRequest.Builder to(String path) {
        return nobody(path).header("Authorization", IDENTITY);
    }

    static String text(HttpClient client, HttpRequest.Builder request) throws Exception {
        return client.send(request.build(), BodyHandlers.ofString()).body();
    }

    static String refused(HttpClient client, HttpRequest.Builder request) throws Exception {
        HttpResponse<String> got = client.send(request.build(), BodyHandlers.ofString());
        return got.statusCode() + " " + got.body().replaceFirst("(?s).*\"code\":\"([a-z_]+)\".*", "$1");
    }

    static String head() throws Exception {
        HttpClient client = plain();
        HttpRequest asked = to("/head").method("HEAD", BodyPublishers.noBody()).build();
        HttpResponse<String> got = client.send(asked, BodyHandlers.ofString());
        return got.statusCode() + " " + got.headers().firstValue("content-length").orElse("") + ", " + text(client, to("/next"));
    }

    static String together() throws Exception {
        HttpClient client = asking();
        List<CompletableFuture<HttpResponse<String>>> answers = new ArrayList<>();
        for (int n = 0; n < 50; n++) {
            answers.add(client.sendAsync(to("/" + n).build(), BodyHandlers.ofString()));
        }
        for (int n = 0; n < 50; n++) {
            String text = answers.get(n).get(8, TimeUnit.SECONDS).body();
            if (!text.equals("GET /" + n + " 0")) {
                return text;
            }
        }
        return "each its own";
    }

    static class Echoed implements WebSocket.Listener {
        final StringBuilder text = new StringBuilder();
        final CompletableFuture<String> whole = new CompletableFuture<>();
        final CompletableFuture<Integer> closed = new CompletableFuture<>();

        public CompletionStage<?> onText(WebSocket socket, CharSequence data, boolean last) {
            text.append(data);
            if (last) {
                whole.complete(text.toString());
            }
            socket.request(1);
            return null;
        }

        public CompletionStage<?> onClose(WebSocket socket, int status, String reason) {
            closed.complete(status);
            return null;
        }
    }

    static String websocket() throws Exception {
        Echoed echoed = new Echoed();
        WebSocket socket = asking().newWebSocketBuilder().header("Authorization", IDENTITY)
            .buildAsync(URI.create(live + "/live"), echoed).get(8, TimeUnit.SECONDS);
        socket.sendText(LONG, true).get(8, TimeUnit.SECONDS);
        boolean same = echoed.whole.get(8, TimeUnit.SECONDS).equals(LONG);
        socket.sendClose(WebSocket.NORMAL_CLOSURE, "").get(8, TimeUnit.SECONDS);
        return (same ? "echoed, " : "differs, ") + echoed.closed.get(8, TimeUnit.SECONDS);
    }

    static void attempt(String name, Callable<String> task) {
        String outcome;
        try {
            outcome = task.call();
        } catch (Throwable error) {
            outcome = error.toString();
        }
        System.out.println(name + "\t" + outcome);
    }

    public static void main(String[] addresses) {
        base = addresses[0];
        live = addresses[1];
        HttpClient one = asking();
        attempt("one after the other", () -> text(one, to("/one")) + ", " + text(one, to("/two")));
        attempt("head", Client::head);
        attempt("upload", () -> text(asking(), to("/up").POST(BIG)));
        BodyPublisher stream = BodyPublishers.fromPublisher(BodyPublishers.ofString("alphabeta"));
        attempt("stream", () -> text(asking(), to("/stream").POST(stream)));
        attempt("expect", () -> text(asking(), to("/expect").expectContinue(true).PUT(BIG)));
        attempt("upload, refused", () -> refused(asking(), nobody("/up").POST(BIG)));
        attempt("events", () -> plain().send(to("/events").build(), BodyHandlers.ofLines()).body()
            .filter(line -> !line.isEmpty()).collect(Collectors.joining(",")));
        attempt("together", Client::together);
        attempt("websocket", Client::websocket);
        System.exit(0);
    }
}
